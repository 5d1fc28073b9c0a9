/** The few drawings of the page. Each is decoration beside a word, so hidden from screen readers. */
import type { ComponentChildren, JSX } from 'preact';
import type { Status } from './contract.ts';

type IconProps = { readonly children: ComponentChildren; readonly class?: string };

function Icon({ children, ...rest }: IconProps): JSX.Element {
  return (
    <svg {...rest} class={`icon ${rest.class ?? ''}`} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

/** Each status has its own shape, so that it is told without colour. */
export function StatusIcon({ status }: { readonly status: Status }): JSX.Element {
  switch (status) {
    case 'up':
      return (
        <Icon>
          <circle cx="8" cy="8" r="6.5" class="fill" />
          <path d="M5 8.2l2.1 2.1L11 6.2" class="cut" />
        </Icon>
      );
    case 'stale':
      return (
        <Icon>
          <circle cx="8" cy="8" r="6" class="stroke" />
          <path d="M8 4.6V8l2.4 1.6" class="stroke" />
        </Icon>
      );
    case 'down':
      return (
        <Icon>
          <path d="M8 1.2l6.8 6.8L8 14.8 1.2 8z" class="fill" />
          <path d="M5.8 5.8l4.4 4.4m0-4.4l-4.4 4.4" class="cut" />
        </Icon>
      );
    case 'never':
      return (
        <Icon>
          <circle cx="8" cy="8" r="6" class="stroke dashed" />
        </Icon>
      );
    case 'revoked':
      return (
        <Icon>
          <circle cx="8" cy="8" r="6" class="stroke" />
          <path d="M4 12L12 4" class="stroke" />
        </Icon>
      );
    default:
      return status satisfies never;
  }
}

const PATHS = {
  sun: 'M8 5a3 3 0 100 6 3 3 0 000-6zM8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8L13 13M13 3l-1.2 1.2M4.2 11.8L3 13',
  moon: 'M13.2 9.8A5.6 5.6 0 016.2 2.8a5.6 5.6 0 107 7z',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.3V2.5h-8v8h2.8',
  check: 'M3 8.5l3.2 3.2L13 4.6',
  pause: 'M5.5 3v10M10.5 3v10',
  play: 'M5 3l8 5-8 5z',
  left: 'M10 3L5 8l5 5',
  right: 'M6 3l5 5-5 5',
  out: 'M6.5 3H3v10h3.5M7 8h6.5M11 5.5L13.5 8 11 10.5',
  plus: 'M8 3v10M3 8h10',
  minus: 'M3 8h10',
  down: 'M8 3v10M4 9l4 4 4-4',
  up: 'M8 13V3M4 7l4-4 4 4',
  plug: 'M6 2v3M10 2v3M4.5 5h7v3a3.5 3.5 0 01-7 0zM8 11.5V14',
} as const;

export function Glyph({ name }: { readonly name: keyof typeof PATHS }): JSX.Element {
  return (
    <Icon>
      <path d={PATHS[name]} class="stroke" />
    </Icon>
  );
}

export function Logo(): JSX.Element {
  return (
    <svg class="logo" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="7" class="logo-ground" />
      <path class="logo-pickets" d="M6 13l3-4 3 4v14H6zM13 9l3-4 3 4v18h-6zM20 17l3-4 3 4v10h-6z" />
      <path class="logo-rail" d="M4 20.5h24" />
    </svg>
  );
}
