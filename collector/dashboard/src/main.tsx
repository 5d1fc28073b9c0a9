/** Entry of the page: theme, clock, address and session are started, then the view that the address names is shown. */
import { render } from 'preact';
import type { JSX } from 'preact';
import { logOut } from './api.ts';
import { clock } from './clock.ts';
import { HostPage } from './host-page.tsx';
import { Glyph, Logo } from './icons.tsx';
import { route, runLocation } from './location.ts';
import { LoginPage } from './login.tsx';
import { Overview } from './overview.tsx';
import { askSession, session } from './session.ts';
import { Failure } from './states.tsx';
import { runTheme, theme, toggleTheme } from './theme.ts';
import './page.css';

function Page(): JSX.Element {
  const state = session.value;
  switch (state.kind) {
    case 'asking':
      return <Head />;
    case 'out':
      return <LoginPage ended={state.ended} />;
    case 'failed':
      return (
        <>
          <Head />
          <main>
            <Failure title="Picket does not answer" sentence={state.sentence} onRetry={() => void askSession()} />
          </main>
        </>
      );
    case 'in':
      return (
        <>
          <Head user={state.user} />
          {route.value.page === 'hosts' ? (
            <Overview />
          ) : (
            <HostPage key={route.value.name} name={route.value.name} view={route.value.view} />
          )}
        </>
      );
    default:
      return state satisfies never;
  }
}

function Head({ user }: { readonly user?: string }): JSX.Element {
  const dark = theme.value === 'dark';
  return (
    <header class="page-head">
      <a class="home" href="#/">
        <Logo />
        <span>Picket</span>
      </a>
      <button
        type="button"
        class="quiet"
        aria-label={dark ? 'Light colours' : 'Dark colours'}
        title={dark ? 'Light colours' : 'Dark colours'}
        onClick={toggleTheme}
      >
        <Glyph name={dark ? 'sun' : 'moon'} />
      </button>
      {user !== undefined && (
        <button
          type="button"
          class="quiet"
          aria-label="Log out"
          title={`Log out ${user}`}
          onClick={() => void logOut().finally(askSession)}
        >
          <Glyph name="out" />
        </button>
      )}
    </header>
  );
}

const place = document.querySelector('#page');
if (place) {
  runTheme();
  runLocation();
  clock.run();
  render(<Page />, place);
  void askSession();
}
