/** Light or dark: what the system says, until somebody chooses. The choice stays in this browser. */
import { computed, effect, signal } from '@preact/signals';

const KEY = 'picket.theme';

export type Choice = 'system' | 'light' | 'dark';

const dark = matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(dark.matches);
export const choice = signal<Choice>(readChoice());
export const theme = computed(() => (choice.value === 'system' ? (systemDark.value ? 'dark' : 'light') : choice.value));

export function runTheme(): void {
  dark.addEventListener('change', (event) => (systemDark.value = event.matches));
  effect(() => {
    document.documentElement.dataset['theme'] = theme.value;
  });
}

export function toggleTheme(): void {
  choice.value = theme.value === 'dark' ? 'light' : 'dark';
  try {
    localStorage.setItem(KEY, choice.value);
  } catch {
    return; // Storage can be forbidden; then the choice lasts as long as the page.
  }
}

function readChoice(): Choice {
  try {
    const stored = localStorage.getItem(KEY);
    return stored === 'light' || stored === 'dark' ? stored : 'system';
  } catch {
    return 'system';
  }
}
