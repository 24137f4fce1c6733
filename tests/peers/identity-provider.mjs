// The company's identity provider: OpenID Connect, one confidential client `portcullis`.
// node identity-provider.mjs '{"host": "127.0.0.2", "port": 9000, "redirect": "http://…/login/callback", "accounts": {"ana": {…}}, "log": "…"}'
// With `refresh` it gives refresh tokens, each good once; with `logout`, an address, it tells that of people who left (back-channel logout).
// With `assistant` ({"id", "secret", "redirect", "elsewhere"}) it has one more client, and gives it identity assertions for who signs in there.
import { giveAssertions, jwks, TOKEN_EXCHANGE } from './identity-assertions.mjs';
import { serve } from './provider.mjs';

const { redirect, secret, refresh = false, logout, assistant, ...rest } = JSON.parse(process.argv[2]);

const clients = [{
  client_id: 'portcullis',
  client_secret: secret,
  redirect_uris: [redirect],
  grant_types: ['authorization_code', 'refresh_token'],
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

serve({
  ...rest,
  configuration: {
    clients,
    ...(assistant && { jwks }),
    scopes: ['openid', 'profile', 'email', 'groups', 'offline_access'],
    pkce: { required: () => false },
    ...(logout && { features: { backchannelLogout: { enabled: true } } }),
    // Of its own it calls nobody on loopback, where the gateway under test is, and waits no longer than a busy machine may take.
    fetch: (url, { dispatcher, signal, ...options }) => fetch(url, options),
    ...(refresh && { issueRefreshToken: () => true, rotateRefreshToken: () => true }),
  },
  prepare: (provider, people) => assistant && giveAssertions(provider, people, assistant.elsewhere),
});
