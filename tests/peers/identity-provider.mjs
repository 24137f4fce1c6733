// The company's identity provider: OpenID Connect, one confidential client `portcullis`.
// node identity-provider.mjs '{"host": "127.0.0.2", "port": 9000, "redirect": "http://…/login/callback", "accounts": {"ana": {…}}, "log": "…"}'
// With `refresh` it gives refresh tokens, each good once; with `logout`, an address, it tells that of people who left (back-channel logout).
// With `elsewhere`, the gateway's id at authorization servers of origins, it gives the gateway identity assertions for them.
// With `assistant` ({"id", "secret", "redirect", "elsewhere"}) it has one more client, and gives it identity assertions for who signs in there.
import { giveAssertions, jwks } from './identity-assertions.mjs';
import { TOKEN_EXCHANGE } from './names.mjs';
import { serve } from './provider.mjs';

const { redirect, secret, refresh = false, logout, elsewhere, assistant, ...rest } = JSON.parse(process.argv[2]);

const clients = [{
  client_id: 'portcullis',
  client_secret: secret,
  redirect_uris: [redirect],
  grant_types: ['authorization_code', 'refresh_token', ...(elsewhere ? [TOKEN_EXCHANGE] : [])],
  response_types: ['code'],
  token_endpoint_auth_method: 'client_secret_basic',
  ...(logout && { backchannel_logout_uri: logout, backchannel_logout_session_required: true }),
}];
if (assistant) {
  clients.push({
    client_id: assistant.id,
    client_secret: assistant.secret,
    redirect_uris: [assistant.redirect],
    grant_types: ['authorization_code', TOKEN_EXCHANGE],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_post',
  });
}
// Whom it vouches for its people to, each with its id where the assertions go.
const vouchesTo = { ...(elsewhere && { portcullis: elsewhere }), ...(assistant && { [assistant.id]: assistant.elsewhere }) };
const vouches = Object.keys(vouchesTo).length > 0;

serve({
  ...rest,
  configuration: {
    clients,
    ...(vouches && { jwks }),
    scopes: ['openid', 'profile', 'email', 'groups', 'offline_access'],
    pkce: { required: () => false },
    ...(logout && { features: { backchannelLogout: { enabled: true } } }),
    // Of its own it calls nobody on loopback, where the gateway under test is, and waits no longer than a busy machine may take.
    fetch: (url, { dispatcher, signal, ...options }) => fetch(url, options),
    ...(refresh && { issueRefreshToken: () => true, rotateRefreshToken: () => true }),
  },
  prepare: (provider, people) => vouches && giveAssertions(provider, people, vouchesTo),
});
