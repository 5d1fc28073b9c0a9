/** Who is logged in, as the collector says; everything else is shown only while somebody is. */
import { signal } from '@preact/signals';
import { readSession } from './api.ts';

export type Session =
  | { readonly kind: 'asking' }
  | { readonly kind: 'in'; readonly user: string }
  | { readonly kind: 'out'; readonly ended: boolean }
  | { readonly kind: 'failed'; readonly sentence: string };

export const session = signal<Session>({ kind: 'asking' });

export async function askSession(): Promise<void> {
  session.value = { kind: 'asking' };
  try {
    const user = await readSession();
    session.value = user === undefined ? { kind: 'out', ended: false } : { kind: 'in', user };
  } catch (error) {
    session.value = { kind: 'failed', sentence: error instanceof Error ? error.message : String(error) };
  }
}

/** The collector answered 401 in the midst of things. */
export function endSession(): void {
  session.value = { kind: 'out', ended: session.value.kind === 'in' };
}
