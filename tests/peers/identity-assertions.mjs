// What makes an identity provider one that vouches for its people to clients (ID-JAG): token exchange (RFC 8693) of an ID token for an
// identity assertion, as draft-ietf-oauth-identity-assertion-authz-grant, section 4, has it.
import { randomUUID } from 'node:crypto';
import { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose';
import { errors } from 'oidc-provider';
import { ID_JAG, ID_TOKEN, TOKEN_EXCHANGE } from './names.mjs';

const PARAMETERS = ['requested_token_type', 'audience', 'resource', 'scope', 'subject_token', 'subject_token_type'];

const pair = await generateKeyPair('RS256', { extractable: true });
const named = async (key) => ({ ...await exportJWK(key), kid: 'assertions', alg: 'RS256', use: 'sig' });
const verifies = createLocalJWKSet({ keys: [await named(pair.publicKey)] });
// The provider's keys: what has signed its ID tokens signs its assertions.
export const jwks = { keys: [await named(pair.privateKey)] };

// `elsewhere` has, by a client's id here, its id at the authorization servers that the assertions are for. It vouches for nobody whose account
// says `vouched: false`.
export const giveAssertions = (provider, people, elsewhere) => provider.registerGrantType(TOKEN_EXCHANGE, async (ctx) => {
  const { client, params: { requested_token_type, audience, resource, scope, subject_token, subject_token_type } } = ctx.oidc;
  if (requested_token_type !== ID_JAG || subject_token_type !== ID_TOKEN || !audience) {
    throw new errors.InvalidRequest('this token exchange makes identity assertions of ID tokens, for an audience');
  }
  const { payload } = await jwtVerify(subject_token, verifies, { issuer: provider.issuer, audience: client.clientId })
    .catch(() => { throw new errors.InvalidGrant('the subject token is no ID token of this client'); });
  const { email, email_verified, name, groups, vouched = true } = people.get(payload.sub) ?? {};
  if (!vouched) throw new errors.AccessDenied('this person is not vouched for');
  const claims = { client_id: elsewhere[client.clientId], jti: randomUUID(), resource, scope, email, email_verified, name, groups };
  const assertion = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'RS256', kid: 'assertions', typ: 'oauth-id-jag+jwt' })
    .setIssuer(provider.issuer).setSubject(payload.sub).setAudience(audience).setIssuedAt().setExpirationTime('5m')
    .sign(pair.privateKey);
  ctx.body = { issued_token_type: ID_JAG, access_token: assertion, token_type: 'N_A', expires_in: 300, scope };
}, PARAMETERS);
