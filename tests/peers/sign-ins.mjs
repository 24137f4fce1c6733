// What makes an origin's authorization server one that takes people's sign-ins at an identity provider in place of their consent: ID tokens
// exchanged (RFC 8693), and identity assertions presented (RFC 7523, draft-ietf-oauth-identity-assertion-authz-grant section 4.4).
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { errors } from 'oidc-provider';
import { ACCESS_TOKEN, ID_TOKEN, JWT_BEARER, TOKEN_EXCHANGE } from './names.mjs';

// Serves `resource` alone. `issuer` is the identity provider's, `audience` whom its ID tokens are for.
export const takeSignIns = (provider, people, { resource, scope, issuer, audience }) => {
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
  const verified = async (token, expected) => {
    const { payload } = await jwtVerify(token, keys, { issuer, requiredClaims: ['sub', 'exp'], ...expected })
      .catch(({ message }) => { throw new errors.InvalidGrant(message); });
    if (!people.has(payload.sub)) throw new errors.InvalidGrant('nobody here is called so');
    return payload;
  };
  const give = async ({ oidc: { client, params } }, accountId, gty) => {
    if (params.resource !== resource) throw new errors.InvalidTarget('there is one resource here');
    const asked = (params.scope ?? '').split(' ').filter((each) => scope.split(' ').includes(each));
    const token = new provider.AccessToken({ client, accountId, gty, scope: asked.join(' ') });
    token.setAudience(resource);
    return { access_token: await token.save(), token_type: 'Bearer', expires_in: token.expiration, scope: token.scope };
  };

  provider.registerGrantType(TOKEN_EXCHANGE, async (ctx) => {
    const { subject_token, subject_token_type, requested_token_type } = ctx.oidc.params;
    if (subject_token_type !== ID_TOKEN || requested_token_type !== ACCESS_TOKEN) {
      throw new errors.InvalidRequest('this token exchange makes access tokens of ID tokens');
    }
    const { sub } = await verified(subject_token, { audience });
    ctx.body = { ...await give(ctx, sub, 'token_exchange'), issued_token_type: ACCESS_TOKEN };
  }, ['subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'resource', 'scope']);

  const seen = new Set();
  provider.registerGrantType(JWT_BEARER, async (ctx) => {
    const { client, params } = ctx.oidc;
    const claims = await verified(params.assertion, { audience: provider.issuer, typ: 'oauth-id-jag+jwt' });
    if (claims.client_id !== client.clientId || claims.resource !== resource || seen.has(claims.jti)) {
      throw new errors.InvalidGrant('the assertion is not for this client and this resource, or was shown before');
    }
    seen.add(claims.jti);
    ctx.body = await give(ctx, claims.sub, 'jwt_bearer');
  }, ['assertion', 'resource', 'scope']);
};
