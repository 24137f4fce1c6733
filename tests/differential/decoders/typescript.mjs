// The decoders of both generations of the TypeScript SDK, as a program that answers batches of messages on its
// standard input. Messages whose headers matter come by HTTP and pass through Express, as the SDK sets it up.

import { writeSync } from 'node:fs';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import * as v1 from '@modelcontextprotocol/sdk/types.js';
import * as v2 from '@modelcontextprotocol/core';

const VERSION = 'io.modelcontextprotocol/protocolVersion';
const NAMES = ['typescript', 'typescript-2'];

// The schema that a server applies to the requests of a method (Server.setRequestHandler of the SDK).
const schemas = sdk => ({
  initialize: sdk.InitializeRequestSchema,
  'tools/call': sdk.CallToolRequestSchema,
  'tools/list': sdk.ListToolsRequestSchema,
  'prompts/get': sdk.GetPromptRequestSchema,
  'prompts/list': sdk.ListPromptsRequestSchema,
  'resources/read': sdk.ReadResourceRequestSchema,
  'resources/subscribe': sdk.SubscribeRequestSchema,
  'resources/unsubscribe': sdk.UnsubscribeRequestSchema,
  'resources/list': sdk.ListResourcesRequestSchema,
  'resources/templates/list': sdk.ListResourceTemplatesRequestSchema,
  'completion/complete': sdk.CompleteRequestSchema,
  'tasks/get': sdk.GetTaskRequestSchema,
  'tasks/result': sdk.GetTaskPayloadRequestSchema,
  'tasks/cancel': sdk.CancelTaskRequestSchema,
  'tasks/list': sdk.ListTasksRequestSchema,
  'subscriptions/listen': sdk.SubscriptionsListenRequestSchema,
});

const SDKS = [v1, v2].map(sdk => ({ envelope: sdk.JSONRPCMessageSchema, methods: schemas(sdk) }));

// What each SDK reads in a parsed body: null if it rejects the message.
function read(body) {
  return SDKS.map(({ envelope, methods }) => {
    const message = envelope.safeParse(body);
    if (!message.success) return null;
    const { method, id } = message.data;
    if (method === undefined) return { kind: 'response', method: '' };
    if (id === undefined) return { kind: 'notification', method };
    const schema = Object.hasOwn(methods, method) ? methods[method] : undefined;
    if (schema === undefined) return { kind: 'request', method };
    const request = schema.safeParse(message.data);
    return request.success ? members(request.data) : null;
  });
}

function members({ method, params = {} }) {
  const reading = { kind: 'request', method, version: params._meta?.[VERSION] ?? null };
  if (method === 'initialize') reading.version ??= params.protocolVersion;
  if (method === 'tools/call' || method === 'prompts/get') reading.name = params.name;
  if (method.startsWith('resources/') && !method.endsWith('list')) {
    reading.uri = params.uri;
    reading.resolved = resolve(params.uri);
  }
  if (method.endsWith('/list')) reading.cursor = params.cursor ?? null;
  if (method.startsWith('tasks/') && method !== 'tasks/list') reading.task = params.taskId;
  if (method === 'completion/complete') {
    reading.reference = [params.ref.type, params.ref.type === 'ref/prompt' ? params.ref.name : params.ref.uri];
  }
  if (method === 'subscriptions/listen') {
    reading.subscriptions = params.notifications.resourceSubscriptions ?? [];
  }
  return reading;
}

// The key by which McpServer finds a resource; null if it rejects the URI.
function resolve(uri) {
  return URL.canParse(uri) ? new URL(uri).toString() : null;
}

const REJECTED = NAMES.map(() => null);
const lines = readings => readings.map(reading => JSON.stringify(reading) + '\n').join('');

function decode(bytes) {
  try {
    return read(JSON.parse(bytes.toString('utf8')));
  } catch {
    return REJECTED;
  }
}

const app = createMcpExpressApp();
app.post('/mcp', (request, response) => {
  const json = request.is('application/json') !== false;
  response.send(lines(json ? read(request.body) : REJECTED));
});
app.use((_error, _request, response, _next) => response.status(200).send(lines(REJECTED)));

const server = app.listen(0, '127.0.0.1', () => {
  write(JSON.stringify({ decoders: NAMES, port: server.address().port }) + '\n');
});

function write(text) {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(1, bytes, written);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

// A batch: the number of messages, then each with its length before it.
function takeBatch(buffer) {
  if (buffer.length < 4) return null;
  const messages = [];
  let at = 4;
  for (let left = buffer.readUInt32LE(0); left > 0; left--) {
    if (buffer.length < at + 4) return null;
    const end = at + 4 + buffer.readUInt32LE(at);
    if (buffer.length < end) return null;
    messages.push(buffer.subarray(at + 4, end));
    at = end;
  }
  return { messages, rest: buffer.subarray(at) };
}

let chunks = [];
process.stdin.on('data', chunk => {
  chunks.push(chunk);
  let buffer = chunks.length === 1 ? chunk : Buffer.concat(chunks);
  for (let batch; (batch = takeBatch(buffer)) !== null; buffer = batch.rest) {
    write(batch.messages.map(message => lines(decode(message))).join(''));
  }
  chunks = [buffer];
});
process.stdin.on('end', () => process.exit());
