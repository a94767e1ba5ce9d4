"""gRPC's interoperability cases in Python (grpcio): `serve`, or `call HOST:PORT`, as `interop` does in Rust."""

import sys
import threading
from concurrent import futures

import grpc

protos, services = grpc.protos_and_services("interop.proto")

SERVICE = "grpc.testing.TestService"
INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
REQUESTS, RESPONSES = [27182, 8, 1828, 45904], [31415, 9, 2653, 58979]
LARGE_REQUEST, LARGE_RESPONSE = 271828, 314159
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"


def payload(size):
    return protos.Payload(body=bytes(size))


class Tester(services.TestServiceServicer):
    def EmptyCall(self, request, context):
        return protos.Empty()

    def UnaryCall(self, request, context):
        echo_metadata(context)
        end_with(request, context)
        return protos.SimpleResponse(payload=payload(request.response_size))

    def StreamingOutputCall(self, request, context):
        for wanted in request.response_parameters:
            yield protos.StreamingOutputCallResponse(payload=payload(wanted.size))

    def StreamingInputCall(self, requests, context):
        total = sum(len(request.payload.body) for request in requests)
        return protos.StreamingInputCallResponse(aggregated_payload_size=total)

    def FullDuplexCall(self, requests, context):
        echo_metadata(context)
        for request in requests:
            end_with(request, context)
            for wanted in request.response_parameters:
                yield protos.StreamingOutputCallResponse(payload=payload(wanted.size))


def echo_metadata(context):
    for key, value in context.invocation_metadata():
        if key == INITIAL:
            context.send_initial_metadata(((key, value),))
        elif key == TRAILING:
            context.set_trailing_metadata(((key, value),))


def end_with(request, context):
    if request.HasField("response_status"):
        code = next(code for code in grpc.StatusCode if code.value[0] == request.response_status.code)
        context.abort(code, request.response_status.message)


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64))
    services.add_TestServiceServicer_to_server(Tester(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


def same(what, found, wanted):
    assert found == wanted, f"{what}: {found!r} instead of {wanted!r}"


def failure(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("it ended well")


def ask(response, request):
    parameters = [protos.ResponseParameters(size=response)]
    return protos.StreamingOutputCallRequest(response_parameters=parameters, payload=payload(request))


def large_request():
    return protos.SimpleRequest(response_size=LARGE_RESPONSE, payload=payload(LARGE_REQUEST))


def sizes(responses):
    return [len(response.payload.body) for response in responses]


def soak(stub):
    same("the payload", stub.UnaryCall(large_request(), timeout=5).payload, payload(LARGE_RESPONSE))


class Cases:
    def __init__(self, server, channel):
        self.server, self.channel, self.stub = server, channel, services.TestServiceStub(channel)

    def empty_unary(self):
        same("the answer", self.stub.EmptyCall(protos.Empty()), protos.Empty())

    def large_unary(self):
        same("the payload", self.stub.UnaryCall(large_request()).payload, payload(LARGE_RESPONSE))

    def client_streaming(self):
        requests = (protos.StreamingInputCallRequest(payload=payload(size)) for size in REQUESTS)
        same("the sum", self.stub.StreamingInputCall(requests).aggregated_payload_size, 74922)

    def server_streaming(self):
        parameters = [protos.ResponseParameters(size=size) for size in RESPONSES]
        request = protos.StreamingOutputCallRequest(response_parameters=parameters)
        same("the payloads", sizes(self.stub.StreamingOutputCall(request)), RESPONSES)

    def ping_pong(self):
        answered = threading.Semaphore(1)

        def requests():
            for response, request in zip(RESPONSES, REQUESTS):
                assert answered.acquire(timeout=10), "no answer"
                yield ask(response, request)

        found = []
        for response in self.stub.FullDuplexCall(requests()):
            found.append(len(response.payload.body))
            answered.release()
        same("the payloads", found, RESPONSES)

    def empty_stream(self):
        same("the payloads", sizes(self.stub.FullDuplexCall(iter(()))), [])

    def custom_metadata(self):
        metadata = ((INITIAL, "test_initial_metadata_value"), (TRAILING, b"\xab\xab\xab"))
        _, unary = self.stub.UnaryCall.with_call(large_request(), metadata=metadata)
        duplex = self.stub.FullDuplexCall(iter((ask(LARGE_RESPONSE, LARGE_REQUEST),)), metadata=metadata)
        same("the payloads", sizes(duplex), [LARGE_RESPONSE])
        for call in (unary, duplex):
            same("the first metadata", dict(call.initial_metadata()).get(INITIAL), "test_initial_metadata_value")
            same("the last metadata", dict(call.trailing_metadata()).get(TRAILING), b"\xab\xab\xab")

    def status_code_and_message(self):
        status = protos.EchoStatus(code=2, message="test status message")
        unary = failure(lambda: self.stub.UnaryCall(protos.SimpleRequest(response_status=status)))
        request = protos.StreamingOutputCallRequest(response_status=status)
        duplex = failure(lambda: list(self.stub.FullDuplexCall(iter((request,)))))
        for error in (unary, duplex):
            same("the status", (error.code(), error.details()), (grpc.StatusCode.UNKNOWN, "test status message"))

    def special_status_message(self):
        status = protos.EchoStatus(code=2, message=SPECIAL)
        error = failure(lambda: self.stub.UnaryCall(protos.SimpleRequest(response_status=status)))
        same("the status", (error.code(), error.details()), (grpc.StatusCode.UNKNOWN, SPECIAL))

    def unimplemented_method(self):
        self.unimplemented("TestService")

    def unimplemented_service(self):
        self.unimplemented("UnimplementedService")

    def unimplemented(self, service):
        path = f"/grpc.testing.{service}/UnimplementedCall"
        method = self.channel.unary_unary(path, protos.Empty.SerializeToString, protos.Empty.FromString)
        same("the code", failure(lambda: method(protos.Empty())).code(), grpc.StatusCode.UNIMPLEMENTED)

    def cancel_after_begin(self):
        released = threading.Event()
        call = self.stub.StreamingInputCall.future(iter(released.wait, True))
        call.cancel()
        same("the code", call.code(), grpc.StatusCode.CANCELLED)
        released.set()
        self.empty_unary()

    def cancel_after_first_response(self):
        released = threading.Event()

        def requests():
            yield ask(31415, 27182)
            released.wait(10)

        call = self.stub.FullDuplexCall(requests())
        same("the payload", len(next(call).payload.body), 31415)
        call.cancel()
        same("the code", failure(lambda: next(call)).code(), grpc.StatusCode.CANCELLED)
        released.set()
        self.empty_unary()

    def timeout_on_sleeping_server(self):
        released = threading.Event()

        def requests():
            yield protos.StreamingOutputCallRequest(payload=payload(27182))
            released.wait(10)

        error = failure(lambda: next(self.stub.FullDuplexCall(requests(), timeout=0.001)))
        same("the code", error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        released.set()

    def concurrent_large_unary(self):
        calls = [self.stub.UnaryCall.future(large_request()) for _ in range(50)]
        for call in calls:
            same("the payload", call.result().payload, payload(LARGE_RESPONSE))


    def rpc_soak(self):
        for _ in range(100):
            soak(self.stub)

    def channel_soak(self):
        for _ in range(100):
            # Or it would share the connection of the other channel.
            with grpc.insecure_channel(self.server, (("grpc.use_local_subchannel_pool", 1),)) as channel:
                soak(services.TestServiceStub(channel))

    # None of gRPC's: the mesh compresses nothing, and says so as the document on compression has it.
    def compressed_request_is_refused(self):
        error = failure(lambda: self.stub.UnaryCall(large_request(), compression=grpc.Compression.Gzip))
        same("the code", error.code(), grpc.StatusCode.UNIMPLEMENTED)


def call(server):
    with grpc.insecure_channel(server) as channel:
        cases = Cases(server, channel)
        names = [name for name in vars(Cases) if not name.startswith("__") and name != "unimplemented"]
        for name in names:
            try:
                getattr(cases, name)()
                print(f"passed {name}", flush=True)
            except Exception as error:  # Whatever it is, the next case runs.
                print(f"failed {name}: {error}", flush=True)


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else call(sys.argv[2])
