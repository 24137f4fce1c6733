// A program with the AI SDK's MCP client (@ai-sdk/mcp), whose OAuth is its own. What it has been granted it keeps in its home.
// node ai-sdk.mjs URL sign-in | list | call NAME ARGUMENTS
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { auth, createMCPClient } from '@ai-sdk/mcp';

const [url, what, name, given] = process.argv.slice(2);
const file = `${process.env.HOME}/ai-sdk.json`;
const kept = what === 'sign-in' ? {} : JSON.parse(readFileSync(file));
const keep = (key) => (value) => { kept[key] = value; writeFileSync(file, JSON.stringify(kept)); };

let redirectUrl = kept.redirectUrl;
const provider = {
  get redirectUrl() { return redirectUrl; },
  get clientMetadata() { return { client_name: 'AI SDK', redirect_uris: [redirectUrl], token_endpoint_auth_method: 'none' }; },
  clientInformation: () => kept.client,
  saveClientInformation: keep('client'),
  isClientInformationDynamicallyRegistered: () => true,
  authorizationServerInformation: () => kept.server,
  saveAuthorizationServerInformation: keep('server'),
  tokens: () => kept.tokens,
  saveTokens: keep('tokens'),
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: keep('verifier'),
  state: () => crypto.randomUUID(),
  storedState: () => kept.state,
  saveState: keep('state'),
  redirectToAuthorization: (address) => { spawn(process.env.BROWSER, [`${address}`], { stdio: 'ignore' }); },
};

async function signIn() {
  let arrived;
  const arrival = new Promise((resolve) => { arrived = resolve; });
  const callback = createServer((request, response) => {
    response.end('You may close this window.');
    arrived(new URL(request.url, redirectUrl).searchParams);
  });
  await new Promise((resolve) => { callback.listen(0, '127.0.0.1', resolve); });
  redirectUrl = `http://127.0.0.1:${callback.address().port}/callback`;
  keep('redirectUrl')(redirectUrl);
  if (await auth(provider, { serverUrl: url }) !== 'REDIRECT') throw new Error('nobody was asked to sign in');
  const answer = await arrival;
  const code = { authorizationCode: answer.get('code'), callbackState: answer.get('state'), callbackIssuer: answer.get('iss') };
  const result = await auth(provider, { serverUrl: url, ...code });
  if (result !== 'AUTHORIZED') throw new Error(`signing in ended with ${result}`);
}

if (what === 'sign-in') {
  await signIn();
} else {
  const client = await createMCPClient({ transport: { type: 'http', url, authProvider: provider } });
  const result = what === 'list' ? (await client.listTools()).tools.map((tool) => tool.name) : await client.callTool({ name, arguments: JSON.parse(given) });
  console.log(JSON.stringify(result));
  await client.close();
}
process.exit(0);
