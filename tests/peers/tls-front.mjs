// Terminates TLS in front of a plain listener, as a load balancer does.
// node tls-front.mjs '{"host": "127.0.0.1", "port": 9443, "to": 9000, "certificate": "…", "key": "…"}'
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createServer } from 'node:tls';

const { host, port, to, certificate, key } = JSON.parse(process.argv[2]);
const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, near => {
  const far = connect(to, host);
  near.pipe(far).pipe(near);
  near.on('error', () => far.destroy());
  far.on('error', () => near.destroy());
});
server.on('tlsClientError', () => {});
server.listen(port, host);
