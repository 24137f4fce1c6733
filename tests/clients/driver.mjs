// A TypeScript SDK client that does as told: one JSON command a line on stdin, one JSON answer a line on stdout.
// node driver.mjs '{"sdk": "sdk" | "client", "url": "…", "mode": "legacy" | "auto", "elicitation": true, "workload": {"id": "…", "secret": "…" | "key": "…", "algorithm": "…"}}'
// A workload with `assertion` ({"idp", "id", "secret", "idToken"}) acts for a person: it gets identity assertions (ID-JAG) at that provider.
// It signs in as the SDK's own OAuth code does, with BROWSER as its browser and a callback on a random loopback port.
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const { sdk, url, mode, elicitation = false, workload } = JSON.parse(process.argv[2]);

// The two generations of the SDK differ here in where things are, and in little else.
const load = {
  sdk: async () => ({
    ...await import('@modelcontextprotocol/sdk/client/index.js'),
    ...await import('@modelcontextprotocol/sdk/client/streamableHttp.js'),
    ...await import('@modelcontextprotocol/sdk/client/auth.js'),
    ...await import('@modelcontextprotocol/sdk/client/auth-extensions.js'),
    elicit: (await import('@modelcontextprotocol/sdk/types.js')).ElicitRequestSchema,
  }),
  client: async () => ({ ...await import('@modelcontextprotocol/client'), elicit: 'elicitation/create' }),
}[sdk];
const library = await load();
const { Client, StreamableHTTPClientTransport, UnauthorizedError, elicit } = library;

const open = (address) => spawn(process.env.BROWSER, [`${address}`], { stdio: 'ignore' });
// As a person would: open it, do what the page asks, come back and say so.
const visit = (address) => new Promise((resolve) => {
  spawn(process.env.BROWSER, [address], { stdio: 'ignore', env: { ...process.env, PORTCULLIS_BROWSER_WAITS: '1' } }).on('exit', resolve);
});
const notifications = [];
const elicitations = [];

// Where the browser comes back to.
let arrived;
const callback = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  if (pathname !== '/callback') return response.writeHead(404).end();
  response.end('You may close this window.');
  arrived?.(searchParams);
});
await new Promise((resolve) => { callback.listen(0, '127.0.0.1', resolve); });

const kept = {};
const provider = {
  redirectUrl: `http://127.0.0.1:${callback.address().port}/callback`,
  clientMetadata: {
    client_name: `TypeScript ${sdk}`,
    redirect_uris: [`http://127.0.0.1:${callback.address().port}/callback`],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  state: () => (kept.state = `${Math.random()}+/=`), // as VS Code does: it must come back byte for byte
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  redirectToAuthorization: (address) => {
    kept.arrival = new Promise((resolve) => { arrived = resolve; });
    open(address);
  },
};

// A program that signs in as itself, or for a person without a browser, with the SDK's own providers.
const programs = {
  secret: () => new library.ClientCredentialsProvider({ clientId: workload.id, clientSecret: workload.secret, expectedIssuer: url }),
  key: () => new library.PrivateKeyJwtProvider({ clientId: workload.id, privateKey: workload.key, algorithm: workload.algorithm, expectedIssuer: url }),
  assertion: () => new library.CrossAppAccessProvider({
    assertion: async ({ authorizationServerUrl, resourceUrl, scope, fetchFn }) => {
      const { idp, id, secret, idToken } = workload.assertion;
      const at = { idpUrl: idp, clientId: id, clientSecret: secret, idToken };
      return (await library.discoverAndRequestJwtAuthGrant({ ...at, audience: authorizationServerUrl, resource: resourceUrl, scope, fetchFn })).jwtAuthGrant;
    },
    clientId: workload.id,
    clientSecret: workload.secret,
    expectedIssuer: url,
  }),
};
const itself = workload && programs[workload.assertion ? 'assertion' : workload.key ? 'key' : 'secret']();

let client;
const transport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider: itself ?? provider });

async function connect() {
  const make = () => {
    client = new Client({ name: `test-${sdk}`, version: '1.0' }, {
      capabilities: elicitation ? { elicitation: { form: {}, url: {} } } : {},
      ...(mode && { versionNegotiation: { mode } }),
    });
    if (elicitation) {
      client.setRequestHandler(elicit, async ({ params }) => {
        elicitations.push(params);
        if (params.url) await visit(params.url);
        return { action: 'accept' };
      });
    }
    client.fallbackNotificationHandler = async (notification) => { notifications.push(notification.method); };
    return client;
  };
  const first = transport();
  try {
    await make().connect(first);
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    const answer = await kept.arrival;
    if (answer.get('state') !== kept.state) throw new Error(`state came back as ${answer.get('state')}, not ${kept.state}`);
    if (!answer.get('code')) throw new Error(`${answer.get('error')}: ${answer.get('error_description')}`);
    await first.finishAuth(sdk === 'client' ? answer : answer.get('code'));
    await make().connect(transport());
  }
  return {
    era: client.getProtocolEra?.() ?? 'legacy',
    version: client.getNegotiatedProtocolVersion?.() ?? client.transport?.protocolVersion,
    server: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
    session: client.transport?.sessionId,
  };
}

const commands = {
  connect,
  tools: async () => (await client.listTools()).tools,
  prompts: async () => (await client.listPrompts()).prompts,
  resources: async () => (await client.listResources()).resources,
  templates: async () => (await client.listResourceTemplates()).resourceTemplates,
  call: ({ name, arguments: given }) => client.callTool({ name, arguments: given }),
  prompt: ({ name, arguments: given }) => client.getPrompt({ name, arguments: given }),
  read: ({ uri }) => client.readResource({ uri }),
  tokens: () => kept.tokens,
  notifications: () => notifications,
  elicitations: () => elicitations,
  close: async () => { await client?.close(); setImmediate(() => process.exit(0)); return null; },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...rest } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: await commands[name](rest) ?? null };
  } catch (error) {
    answer = { error: { kind: error.constructor.name, message: error.message, code: error.code, data: error.data } };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
