// An `oidc-provider` on a loopback port with accounts, a log of what it receives, and a few levers for tests:
//   POST /levers/accounts   {"ana": {...claims}}   replaces accounts
//   POST /levers/revoke     {"login": "ana", "what": "grant" | "access"}   as if the person had revoked it at the provider;
//                           {"client": "id", "what": "access"}   the same of tokens in a client's own name
//   POST /levers/logout     {"login": "ana", "session": 0 | null}          tells the client of its people that this session of the person
//                                                                          (by the order of sign-ins; -1 is the last), or the person in all, has left
// Its login form takes any password; the accounts say who may come in.
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import Provider from 'oidc-provider';

const read = async (request) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
};

// Everything that arrives and the answer to it, as one JSON line a request: written before the answer ends, so that whoever has the answer
// finds it here; or when the connection breaks before that.
const record = (path, request, response) => {
  const entry = { at: Date.now(), method: request.method, url: request.url, headers: request.rawHeaders, body: '' };
  request.on('data', (chunk) => { entry.body += chunk.toString('latin1'); });
  const answer = [];
  const { write, end } = response;
  let written = false;
  const note = () => {
    if (written) return;
    written = true;
    appendFileSync(path, `${JSON.stringify({ ...entry, status: response.statusCode, answer: Buffer.concat(answer).toString('latin1') })}\n`);
  };
  response.write = (chunk, ...rest) => { if (chunk) answer.push(Buffer.from(chunk)); return write.call(response, chunk, ...rest); };
  response.end = (chunk, ...rest) => {
    if (typeof chunk === 'string' || chunk instanceof Uint8Array) answer.push(Buffer.from(chunk));
    note();
    return end.call(response, chunk, ...rest);
  };
  response.on('close', note);
  request.pause();
};

// `prepare` is given the provider and its people before it serves.
export function serve({ host, port, tls, accounts, log, configuration, prepare, pages = {}, delay = 0 }) {
  const issuer = `${tls ? 'https' : 'http'}://${host}:${port}`;
  const people = new Map(Object.entries(accounts));
  const issued = { access_token: new Map(), refresh_token: new Map() }; // login -> ids
  const provider = new Provider(issuer, {
    findAccount: (_, login) => people.has(login) && {
      accountId: login,
      claims: () => ({ sub: login, ...people.get(login) }),
    },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    conformIdTokenClaims: false, // as company providers do it: claims are in the ID token too
    pkce: { required: () => true },
    ...configuration,
  });
  prepare?.(provider, people);
  for (const [kind, byLogin] of Object.entries(issued)) {
    provider.on(`${kind}.saved`, ({ accountId, jti }) => {
      if (accountId) byLogin.set(accountId, (byLogin.get(accountId) ?? new Set()).add(jti));
    });
  }
  const own = new Map(); // client id -> ids of tokens in its own name
  provider.on('client_credentials.saved', ({ clientId, jti }) => own.set(clientId, (own.get(clientId) ?? new Set()).add(jti)));
  const sessions = new Map(); // login -> ids of sessions at the client, in the order of sign-ins
  provider.on('session.saved', (session) => {
    const sid = session.accountId && session.sidFor('portcullis');
    if (sid) sessions.set(session.accountId, (sessions.get(session.accountId) ?? new Set()).add(sid));
  });
  provider.on('server_error', (_, error) => console.error(error));

  const levers = {
    accounts: async (given) => { for (const [login, claims] of Object.entries(given)) people.set(login, claims); },
    revoke: async ({ login, client, what }) => {
      const end = async (model, ids) => { for (const id of ids ?? []) await (await model.find(id))?.destroy(); };
      await end(provider.AccessToken, issued.access_token.get(login));
      await end(provider.ClientCredentials, own.get(client));
      if (what === 'grant') await end(provider.RefreshToken, issued.refresh_token.get(login));
    },
    logout: async ({ login, session }) => {
      const client = await provider.Client.find('portcullis');
      client.backchannelLogoutSessionRequired = session !== null;
      try {
        await client.backchannelLogout(login, [...(sessions.get(login) ?? [])].at(session));
      } finally {
        client.backchannelLogoutSessionRequired = true;
      }
    },
  };
  const handle = provider.callback();
  const answer = async (request, response) => {
    const lever = levers[request.url.replace('/levers/', '')];
    if (lever) {
      await lever(JSON.parse(await read(request)));
      response.writeHead(204).end();
      return;
    }
    if (pages[request.url]) {
      const [status, body] = await pages[request.url](request, provider, people);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      return;
    }
    if (log) record(log, request, response);
    if (delay && request.url.startsWith('/token')) await sleep(delay);
    handle(request, response);
  };
  const server = tls
    ? createTlsServer({ cert: readFileSync(tls.certificate), key: readFileSync(tls.key) }, answer)
    : createServer(answer);
  server.listen(port, host, () => console.log(`ready ${issuer}`));
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
}
