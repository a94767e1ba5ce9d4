// gRPC's interoperability cases in JavaScript (@grpc/grpc-js): `serve`, or `call HOST:PORT`, as `interop` does in Rust.
"use strict";

const assert = require("node:assert/strict");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const folders = process.env.INTEROP_PROTOS.split(":");
const { TestService } = grpc.loadPackageDefinition(
  loader.loadSync("interop.proto", { includeDirs: folders, keepCase: true, defaults: true }),
).grpc.testing;

const [INITIAL, TRAILING] = ["x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"];
const [REQUESTS, RESPONSES] = [[27182, 8, 1828, 45904], [31415, 9, 2653, 58979]];
const [LARGE_REQUEST, LARGE_RESPONSE] = [271828, 314159];
const SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";

const payload = (size) => ({ body: Buffer.alloc(size) });

// What the request wants to come back: the first metadata is sent, the last is returned.
function echoMetadata(call) {
  const [initial, trailing] = [new grpc.Metadata(), new grpc.Metadata()];
  call.metadata.get(INITIAL).forEach((value) => initial.set(INITIAL, value));
  call.metadata.get(TRAILING).forEach((value) => trailing.set(TRAILING, value));
  call.sendMetadata(initial);
  return trailing;
}

const failureOf = ({ response_status: status }) => status && { code: status.code, details: status.message };

const tester = {
  EmptyCall: (call, done) => done(null, {}),
  UnaryCall: (call, done) => {
    const trailing = echoMetadata(call);
    done(failureOf(call.request), { payload: payload(call.request.response_size) }, trailing);
  },
  StreamingOutputCall: (call) => {
    call.request.response_parameters.forEach(({ size }) => call.write({ payload: payload(size) }));
    call.end();
  },
  StreamingInputCall: (call, done) => {
    let total = 0;
    call.on("data", (request) => (total += request.payload.body.length));
    call.on("end", () => done(null, { aggregated_payload_size: total }));
  },
  FullDuplexCall: (call) => {
    const trailing = echoMetadata(call);
    call.on("data", (request) => {
      const failure = failureOf(request);
      if (failure) return call.emit("error", failure);
      request.response_parameters.forEach(({ size }) => call.write({ payload: payload(size) }));
    });
    call.on("end", () => call.end(trailing));
  },
};

function serve() {
  const server = new grpc.Server();
  server.addService(TestService.service, tester);
  server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    console.log(`127.0.0.1:${port}`);
  });
}

const ask = (response, request) => ({ response_parameters: [{ size: response }], payload: payload(request) });
const largeRequest = () => ({ response_size: LARGE_RESPONSE, payload: payload(LARGE_REQUEST) });
const deadline = () => ({ deadline: Date.now() + 10_000 });

// One answer, with its metadata and status.
function unary(client, method, request, metadata = new grpc.Metadata(), begun = () => {}) {
  return new Promise((resolve) => {
    const outcome = {};
    const call = client[method](...(request ? [request] : []), metadata, deadline(), (error, response) => {
      Object.assign(outcome, { error, response });
      if (outcome.status) resolve(outcome);
    });
    call.on("metadata", (initial) => (outcome.initial = initial));
    call.on("status", (status) => {
      outcome.status = status;
      // The status comes before or after the answer.
      if ("response" in outcome) resolve(outcome);
    });
    begun(call);
  });
}

// A stream of answers; `each` is told of every one, and of the beginning.
function stream(call, each = () => {}) {
  return new Promise((resolve) => {
    const outcome = { sizes: [] };
    call.on("metadata", (initial) => (outcome.initial = initial));
    call.on("data", (response) => {
      outcome.sizes.push(response.payload.body.length);
      each(outcome.sizes.length);
    });
    // The status says as much.
    call.on("error", () => {});
    call.on("status", (status) => resolve({ ...outcome, status }));
    each(0);
  });
}

function marked() {
  const metadata = new grpc.Metadata();
  metadata.set(INITIAL, "test_initial_metadata_value");
  metadata.set(TRAILING, Buffer.from([0xab, 0xab, 0xab]));
  return metadata;
}

function ended(status, code, details) {
  assert.equal(status.code, code);
  if (details !== undefined) assert.equal(status.details, details);
}

const { OK, CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED } = grpc.status;

const cases = {
  async empty_unary(client) {
    const { response } = await unary(client, "EmptyCall", {});
    assert.deepEqual({ ...response }, {});
  },
  async large_unary(client) {
    const { response, error } = await unary(client, "UnaryCall", largeRequest());
    assert.equal(error, null);
    assert.deepEqual(response.payload.body, Buffer.alloc(LARGE_RESPONSE));
  },
  async client_streaming(client) {
    const { response } = await unary(client, "StreamingInputCall", undefined, undefined, (call) => {
      REQUESTS.forEach((size) => call.write({ payload: payload(size) }));
      call.end();
    });
    assert.equal(response.aggregated_payload_size, 74922);
  },
  async server_streaming(client) {
    const request = { response_parameters: RESPONSES.map((size) => ({ size })) };
    const { sizes, status } = await stream(client.StreamingOutputCall(request, deadline()));
    assert.deepEqual(sizes, RESPONSES);
    ended(status, OK);
  },
  async ping_pong(client) {
    const call = client.FullDuplexCall(deadline());
    const { sizes, status } = await stream(call, (at) => {
      if (at < RESPONSES.length) call.write(ask(RESPONSES[at], REQUESTS[at]));
      else call.end();
    });
    assert.deepEqual(sizes, RESPONSES);
    ended(status, OK);
  },
  async empty_stream(client) {
    const call = client.FullDuplexCall(deadline());
    const { sizes, status } = await stream(call, () => call.end());
    assert.deepEqual(sizes, []);
    ended(status, OK);
  },
  async custom_metadata(client) {
    const call = client.FullDuplexCall(marked(), deadline());
    const duplex = stream(call, (at) => (at === 0 ? call.write(ask(LARGE_RESPONSE, LARGE_REQUEST)) : call.end()));
    for (const { initial, status } of [await unary(client, "UnaryCall", largeRequest(), marked()), await duplex]) {
      assert.deepEqual(initial.get(INITIAL), ["test_initial_metadata_value"]);
      assert.deepEqual(status.metadata.get(TRAILING), [Buffer.from([0xab, 0xab, 0xab])]);
      ended(status, OK);
    }
  },
  async status_code_and_message(client) {
    const response_status = { code: UNKNOWN, message: "test status message" };
    ended((await unary(client, "UnaryCall", { response_status })).status, UNKNOWN, "test status message");
    const call = client.FullDuplexCall(deadline());
    const { status } = await stream(call, () => call.end({ response_status }));
    ended(status, UNKNOWN, "test status message");
  },
  async special_status_message(client) {
    const response_status = { code: UNKNOWN, message: SPECIAL };
    ended((await unary(client, "UnaryCall", { response_status })).status, UNKNOWN, SPECIAL);
  },
  unimplemented_method: (client) => unimplemented(client, "TestService"),
  unimplemented_service: (client) => unimplemented(client, "UnimplementedService"),
  async cancel_after_begin(client) {
    const { status } = await unary(client, "StreamingInputCall", undefined, undefined, (call) => call.cancel());
    ended(status, CANCELLED);
    await cases.empty_unary(client);
  },
  async cancel_after_first_response(client) {
    const call = client.FullDuplexCall(deadline());
    const { sizes, status } = await stream(call, (at) => (at === 0 ? call.write(ask(31415, 27182)) : call.cancel()));
    assert.deepEqual(sizes, [31415]);
    ended(status, CANCELLED);
    await cases.empty_unary(client);
  },
  async timeout_on_sleeping_server(client) {
    const call = client.FullDuplexCall({ deadline: Date.now() + 1 });
    const { status } = await stream(call, () => call.write({ payload: payload(27182) }));
    ended(status, DEADLINE_EXCEEDED);
  },
  async concurrent_large_unary(client) {
    await Promise.all(Array.from({ length: 50 }, () => cases.large_unary(client)));
  },
  rpc_soak: (client) => soak((each) => each(client)),
  async channel_soak(client, server) {
    await soak(async (each) => {
      // Or it would share the connection of the other client.
      const fresh = connect(server, { "grpc.use_local_subchannel_pool": 1 });
      await each(fresh);
      fresh.close();
    });
  },
};

// Large calls one after the other, none of which takes more than five seconds.
async function soak(on) {
  for (let call = 0; call < 100; call += 1) {
    const began = Date.now();
    await on(cases.large_unary);
    assert(Date.now() - began < 5000, `call ${call} took ${Date.now() - began} ms`);
  }
}

function unimplemented(client, service) {
  const path = `/grpc.testing.${service}/UnimplementedCall`;
  const nothing = () => Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, nothing, nothing, {}, (error) => {
      if (error?.code === UNIMPLEMENTED) resolve();
      else reject(new Error(`${error}`));
    });
  });
}

const connect = (server, options) => new TestService(server, grpc.credentials.createInsecure(), options);

async function call(server) {
  const client = connect(server);
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run(client, server);
      console.log(`passed ${name}`);
    } catch (error) {
      // Whatever it is, the next case runs.
      console.log(`failed ${name}: ${error}`);
    }
  }
  client.close();
}

if (process.argv[2] === "serve") serve();
else call(process.argv[3]);
