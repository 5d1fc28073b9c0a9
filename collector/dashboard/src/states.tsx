/** What a view shows when it cannot show itself: a shape of what comes, or a sentence of what went wrong. */
import type { JSX } from 'preact';

export function Skeleton({ rows, label }: { readonly rows: number; readonly label: string }): JSX.Element {
  return (
    <div class="skeleton" role="status" aria-label={label}>
      {Array.from({ length: rows }, (_, i) => (
        <div key={i} class="skeleton-row" />
      ))}
    </div>
  );
}

type FailureProps = {
  readonly title: string;
  readonly sentence: string;
  readonly code?: string;
  readonly onRetry: () => void;
  /** A way on where trying again may not help. */
  readonly elsewhere?: { readonly href: string; readonly words: string };
};

export function Failure({ title, sentence, code, onRetry, elsewhere }: FailureProps): JSX.Element {
  return (
    <section class="failure card" role="alert">
      <h2>{title}</h2>
      <p>{sentence}</p>
      <p class="actions">
        <button type="button" class="primary" onClick={onRetry}>
          Try again
        </button>
        {elsewhere && <a href={elsewhere.href}>{elsewhere.words}</a>}
        {code && <code>{code}</code>}
      </p>
    </section>
  );
}
