// A page as Connect's client for browsers has it: `node page.js URL PROTOSET ORIGIN`, with NODE_PATH. Prints a line of JSON for each call.
const { readFileSync } = require("node:fs");
const { randomUUID } = require("node:crypto");
const { createFileRegistry, fromBinary } = require("@bufbuild/protobuf");
const { FileDescriptorSetSchema } = require("@bufbuild/protobuf/wkt");
const { Code, ConnectError, createClient } = require("@connectrpc/connect");
const { createGrpcWebTransport } = require("@connectrpc/connect-web");

const [url, protoset, origin] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(protoset)));
// What a browser adds by itself.
const asPage = (to, init) => {
  init.headers.set("origin", origin);
  return fetch(to, init);
};
const transport = createGrpcWebTransport({ baseUrl: url, fetch: asPage, defaultTimeoutMs: 5000 });
const call = async (service, method, request) => {
  try {
    const answer = await createClient(registry.getService(service), transport)[method](request);
    return { method, code: "Ok", user: answer.user?.username };
  } catch (error) {
    const { code, details } = ConnectError.from(error);
    return { method, code: Code[code], details: details.map((detail) => detail.type) };
  }
};

const username = `page-${randomUUID().slice(0, 8)}`;
const person = { requestId: randomUUID(), username, password: "a quiet morning on the square", accountType: 1 };
person.identifier = { case: "email", value: `${username}@example.com` };
(async () => {
  for (const asked of [
    ["sso.v1.AuthService", "signUp", person],
    ["sso.v1.AuthService", "signUp", {}],
    ["social.v1.ProfileService", "updateProfile", {}],
    ["sso.v1.UserService", "listUsers", {}],
  ]) {
    console.log(JSON.stringify(await call(...asked)));
  }
})();
