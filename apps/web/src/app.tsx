import { lazy, Suspense, useState } from 'react';
import { Link, Redirect, Route, Switch, useLocation } from 'wouter';
import { KeyboardHelp } from './keyboard/keyboard-help.js';
import { useShortcuts } from './keyboard/use-shortcuts.js';
import { RunsPage } from './runs/runs-page.js';
import { useConnection } from './server/connection.js';
import { signOut, useSession } from './server/session.js';
import { chooseTheme, THEMES, type Theme, useTheme } from './theme.js';
import { Empty } from './ui/empty.js';
import { Icon, type IconName } from './ui/icon.js';
import { Notices, notifyError } from './ui/notices.js';
import { SignIn } from './ui/sign-in.js';

const ComparePage = lazy(() => import('./compare/compare-page.js'));
const NodesPage = lazy(() => import('./nodes/nodes-page.js'));
const QueuePage = lazy(() => import('./queue/queue-page.js'));
const RunPage = lazy(() => import('./run/run-page.js'));
const SubmitPage = lazy(() => import('./submit/submit-page.js'));
const SweepPage = lazy(() => import('./sweeps/sweep-page.js'));
const SweepsPage = lazy(() => import('./sweeps/sweeps-page.js'));

const PAGES: readonly { path: string; title: string; icon: IconName }[] = [
  { path: '/runs', title: 'Runs', icon: 'runs' },
  { path: '/sweeps', title: 'Sweeps', icon: 'sweeps' },
  { path: '/queue', title: 'Queue', icon: 'queue' },
  { path: '/nodes', title: 'Nodes', icon: 'nodes' },
  { path: '/submit', title: 'Submit', icon: 'submit' },
];

export function App() {
  const [help, setHelp] = useState(false);
  const { signedOut, number } = useSession();
  useShortcuts({ onHelp: () => setHelp(true) });
  return (
    <>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <div className="shell">
        <Rail onHelp={() => setHelp(true)} signedIn={number > 0 && !signedOut} />
        <div className="content">
          <Banner />
          <main id="main" tabIndex={-1}>
            {signedOut ? (
              <SignIn />
            ) : (
              <Suspense fallback={<p className="loading">Loading …</p>}>
                <Pages />
              </Suspense>
            )}
          </main>
        </div>
      </div>
      <Notices />
      <KeyboardHelp open={help} onClose={() => setHelp(false)} />
    </>
  );
}

function Pages() {
  return (
    <Switch>
      <Route path="/">
        <Redirect to="/runs" replace />
      </Route>
      <Route path="/runs" component={RunsPage} />
      <Route path="/runs/:id/:tab?">{({ id, tab }) => <RunPage key={id} id={id} tab={tab ?? 'charts'} />}</Route>
      <Route path="/compare" component={ComparePage} />
      <Route path="/submit" component={SubmitPage} />
      <Route path="/sweeps" component={SweepsPage} />
      <Route path="/sweeps/:id">{({ id }) => <SweepPage key={id} id={id} />}</Route>
      <Route path="/queue" component={QueuePage} />
      <Route path="/nodes" component={NodesPage} />
      <Route>
        <Empty title="There is no such page">
          <p>
            <Link href="/runs">Go to the runs</Link>
          </p>
        </Empty>
      </Route>
    </Switch>
  );
}

function Rail({ onHelp, signedIn }: { onHelp: () => void; signedIn: boolean }) {
  const [location] = useLocation();
  return (
    <header className="rail">
      <Link className="brand" href="/runs">
        <img src="/icon.svg" alt="" width="22" height="22" />
        Clipyard
      </Link>
      <nav aria-label="Pages">
        {PAGES.map(({ path, title, icon }) => (
          <Link key={path} href={path} aria-current={location.startsWith(path) ? 'page' : undefined}>
            <Icon name={icon} />
            {title}
          </Link>
        ))}
      </nav>
      <div className="rail-end">
        <ThemeSwitch />
        {signedIn && (
          <button type="button" className="quiet" onClick={() => void signOut().catch(notifyError)}>
            Sign out
          </button>
        )}
        <button type="button" className="quiet" onClick={onHelp} aria-label="Keyboard shortcuts">
          <Icon name="help" />
        </button>
      </div>
    </header>
  );
}

const THEME_ICONS: Readonly<Record<Theme, IconName>> = { system: 'auto', light: 'sun', dark: 'moon' };

function ThemeSwitch() {
  const theme = useTheme();
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
  return (
    <button
      type="button"
      className="quiet"
      onClick={() => chooseTheme(next)}
      aria-label={`Colours: ${theme}. Change to ${next}`}
      title={`Colours: ${theme}`}
    >
      <Icon name={THEME_ICONS[theme]} />
    </button>
  );
}

function Banner() {
  const connection = useConnection();
  if (connection === 'ok') return null;
  return (
    <p className="banner" role="status">
      <span className="spinner" aria-hidden="true" />
      The server does not answer. What you see stays; it goes on by itself as soon as the server is back.
    </p>
  );
}
