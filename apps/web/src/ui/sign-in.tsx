import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { signIn } from '../server/session.js';
import { ErrorPanel } from './error-panel.js';

/** Asks for a token, in place of the page. */
export function SignIn() {
  const [token, setToken] = useState('');
  const queries = useQueryClient();
  const enter = useMutation({ mutationFn: () => signIn(token.trim()), onSuccess: () => queries.resetQueries() });
  return (
    <form
      className="panel sign-in stacked"
      onSubmit={(event) => {
        event.preventDefault();
        enter.mutate();
      }}
    >
      <h1>Sign in</h1>
      <p>
        This server asks for a token. An admin makes one with <code>clipyard token create</code>.
      </p>
      <label>
        Token
        <input
          type="password"
          autoComplete="current-password"
          placeholder="cy_…"
          value={token}
          onChange={({ target }) => setToken(target.value)}
        />
      </label>
      {enter.isError && <ErrorPanel error={enter.error} />}
      <button type="submit" className="button primary" disabled={token.trim() === '' || enter.isPending}>
        Sign in
      </button>
    </form>
  );
}
