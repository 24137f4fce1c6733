// An origin's own authorization server: dynamic registration, PKCE, resource indicators, rotating refresh tokens, revocation,
// introspection for the origin, tokens for clients in their own name. Opaque tokens, so that a revoked one is dead at once.
// node authorization-server.mjs '{"host": "127.0.0.2", "port": 9001, "resource": "http://…/mcp", "accessTtl": 3600, "scope": "read write", "accounts": {…}, "log": "…"}'
// With `signIns` ({"issuer", "audience"}) it also takes people's sign-ins at an identity provider, exchanged or asserted.
import { serve } from './provider.mjs';
import { takeSignIns } from './sign-ins.mjs';

const { resource, accessTtl = 3600, scope = 'read write', clients = [], signIns, ...rest } = JSON.parse(process.argv[2]);

serve({
  ...rest,
  configuration: {
    clients: [
      {
        client_id: 'origin',
        client_secret: 'the-origin-introspects-with-this',
        redirect_uris: [],
        grant_types: [],
        response_types: [],
      },
      ...clients,
    ],
    scopes: ['openid', 'offline_access', ...scope.split(' ')],
    features: {
      registration: { enabled: true },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({ scope, audience: resource, accessTokenTTL: accessTtl, accessTokenFormat: 'opaque' }),
      },
    },
    ttl: { AccessToken: accessTtl, RefreshToken: 86_400, Grant: 86_400, Session: 86_400, Interaction: 600 },
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: () => true,
  },
  prepare: (provider, people) => signIns && takeSignIns(provider, people, { resource, scope, ...signIns }),
});
