/** The log-in page: one field for the token, and where to find it. */
import type { JSX, TargetedSubmitEvent } from 'preact';
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { ApiError, logIn } from './api.ts';
import { Logo } from './icons.tsx';
import { askSession } from './session.ts';

export function LoginPage({ ended }: { readonly ended: boolean }): JSX.Element {
  const refusal = useSignal<string | undefined>(undefined);
  const busy = useSignal(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);

  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const token = field.current?.value.trim() ?? '';
    if (token === '') {
      refusal.value = 'Please paste the token first.';
      return;
    }
    busy.value = true;
    try {
      await logIn(token);
      await askSession();
    } catch (error) {
      const sentence = error instanceof Error ? error.message : String(error);
      refusal.value = error instanceof ApiError && error.status === 401 ? `That token was not accepted. ${sentence}` : sentence;
      field.current?.select();
    } finally {
      busy.value = false;
    }
  };

  return (
    <main class="login">
      <form class="card" onSubmit={(event) => void submit(event)} aria-labelledby="login-title">
        <Logo />
        <h1 id="login-title">Log in to Picket</h1>
        {ended && <p class="note">Your session has ended. Log in again to go on where you were.</p>}
        <label for="token">Admin token</label>
        <input
          ref={field}
          id="token"
          type="password"
          autocomplete="current-password"
          spellcheck={false}
          aria-describedby="token-help token-refusal"
          aria-invalid={refusal.value !== undefined}
        />
        <p id="token-refusal" class="refusal" role="alert">
          {refusal.value}
        </p>
        <button type="submit" class="primary" disabled={busy.value}>
          {busy.value ? 'Logging in …' : 'Log in'}
        </button>
        <p id="token-help" class="help">
          The token is in <code>admin-token</code> in the collector's data folder (<code>./data</code> unless set), or what{' '}
          <code>PICKET_ADMIN_TOKEN</code> says. The collector also prints a log-in link when it starts; it is good for ten minutes.
        </p>
      </form>
    </main>
  );
}
