// A site that people sign in at with OAuth 2.0 and no OpenID Connect: metadata by RFC 8414, no id_token, and an API at /user that says who
// holds a token, in words of its own. One confidential client `portcullis`.
// node plain-oauth.mjs '{"host": "127.0.0.8", "port": 9000, "redirect": "http://…/login/callback", "accounts": {"ana": {…}}, "log": "…"}'
import { serve } from './provider.mjs';

const { redirect, secret, ...rest } = JSON.parse(process.argv[2]);

serve({
  ...rest,
  configuration: {
    clients: [{
      client_id: 'portcullis',
      client_secret: secret,
      redirect_uris: [redirect],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_post',
    }],
    clientAuthMethods: ['client_secret_post'],
    scopes: ['read:user'],
    issueRefreshToken: () => true,
    rotateRefreshToken: () => true,
  },
  pages: {
    '/user': async (request, provider, people) => {
      const token = await provider.AccessToken.find((request.headers.authorization ?? '').replace('Bearer ', ''));
      if (!token) return [401, { message: 'Bad credentials' }];
      const { name, email, groups, id } = people.get(token.accountId);
      return [200, { id, login: token.accountId, name, email, orgs: groups }];
    },
  },
});
