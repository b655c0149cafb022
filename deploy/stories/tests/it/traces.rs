//! Spans of both daemons arrive at a receiver that is not ours: the gRPC server of another language with the types that
//! OpenTelemetry publishes for it, and the same types behind its HTTP server.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde::Deserialize;
use stories::{
    house::{House, free_address},
    real::{program, skip},
    settings::{Addresses, Places},
    truth::Truth,
};

/// Prints its two ports, then each span that it takes.
const RECEIVER: &str = r#"
import json, threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb, trace_service_pb2_grpc as service

lock = threading.Lock()

def take(request, transport):
    for resource in request.resource_spans:
        names = [pair.value.string_value for pair in resource.resource.attributes if pair.key == "service.name"]
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            with lock:
                print(json.dumps({"transport": transport, "service": names[0], "name": span.name,
                    "trace": span.trace_id.hex(), "span": span.span_id.hex(), "parent": span.parent_span_id.hex()}), flush=True)

class Traces(service.TraceServiceServicer):
    def Export(self, request, context):
        take(request, "grpc")
        return pb.ExportTraceServiceResponse()

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        assert self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf"
        take(pb.ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"]))), "http")
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

server = grpc.server(ThreadPoolExecutor(2))
service.add_TraceServiceServicer_to_server(Traces(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
http = HTTPServer(("127.0.0.1", 0), Handler)
print(json.dumps([port, http.server_port]), flush=True)
http.serve_forever()
"#;

const SCENARIO: &str = "
seed: 7
users:
  - name: erlich
    full_name: Erlich Bachman
    email: erlich@example.test
    connections:
      - failures: [{as: erlich, from: -30m}]
        timeline: [{at: -5h, do: update}, {at: -20m, do: update}]
";

#[derive(Clone, Debug, Deserialize)]
struct Span {
    transport: String,
    service: String,
    name: String,
    trace: String,
    span: String,
    parent: String,
}

/// A running receiver and what it took; killed when dropped.
struct Receiver {
    child: Child,
    ports: [u16; 2],
    took: Arc<Mutex<Vec<Span>>>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Whatever became of the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Receiver {
    /// `None` where Python or its packages are not there.
    fn start() -> Option<Self> {
        let python = program("python3", "python3")?;
        let packages = Places::repository().join(".ci/work/python");
        let command = |script| {
            let mut command = Command::new(&python);
            command.env("PYTHONPATH", &packages).args(["-c", script]).stdin(Stdio::null());
            command
        };
        let probe = "import grpc, opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc";
        if !command(probe).stderr(Stdio::null()).status().unwrap().success() {
            skip("no OTLP for Python; pip3 install --target .ci/work/python grpcio opentelemetry-proto");
            return None;
        }
        let mut child = command(RECEIVER).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ports = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let took = Arc::<Mutex<Vec<Span>>>::default();
        let seen = took.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                seen.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Some(Self { child, ports, took })
    }

    fn took(&self) -> Vec<Span> {
        self.took.lock().unwrap().clone()
    }
}

/// The names from a span up to the first of its trace.
fn lineage(spans: &[Span], last: &Span) -> Vec<String> {
    let known: BTreeMap<_, _> = spans.iter().map(|span| ((&span.trace, &span.span), span)).collect();
    let above = |span: &&Span| known.get(&(&span.trace, &span.parent)).copied();
    std::iter::successors(Some(last), above).map(|span| span.name.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_another_language_sees_a_look_and_the_way_from_a_demand_to_its_delivery() {
    let Some(receiver) = Receiver::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path().to_owned(), 1.0).unwrap();
    let places = Places { work: house.work.clone(), rules: Places::repository().join("rules") };
    let addresses = Addresses {
        sandbox: free_address(0).unwrap(),
        exporter: free_address(0).unwrap(),
        alerter: free_address(0).unwrap(),
    };
    let flags = places.sandbox_playing(SCENARIO, house.anchor).unwrap();
    let sandbox = house.start("basiq-sandbox", addresses.sandbox, &flags).await.unwrap();
    let truth = Truth::read(&house, addresses.sandbox).await.unwrap();

    let traced = |protocol: &str, port: u16| {
        let endpoint = format!("http://127.0.0.1:{port}");
        let set = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)];
        house.clone().with_variables(set)
    };
    let flags = [format!("--config.file={}", places.exporter(addresses, &truth).unwrap().display())];
    let exporter =
        traced("grpc", receiver.ports[0]).start("basiq-exporter", addresses.exporter, &flags).await.unwrap();
    let flags = [format!("--config.file={}", places.alerter(addresses).unwrap().display())];
    let alerter = traced("http/protobuf", receiver.ports[1])
        .start("basiq-alerter", addresses.alerter, &flags)
        .await
        .unwrap();

    let of = |spans: &[Span], transport: &str, service: &str, name: &str| -> Vec<Vec<String>> {
        let is = |span: &&Span| (&*span.transport, &*span.service, &*span.name) == (transport, service, name);
        spans.iter().filter(is).map(|span| lineage(spans, span)).collect()
    };
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let spans = receiver.took();
        let asked = of(&spans, "grpc", "basiq-exporter", "ask Basiq");
        let delivered = of(&spans, "http", "basiq-alerter", "deliver");
        if asked.contains(&["ask Basiq", "poll user"].map(String::from).into())
            && delivered.contains(&["deliver", "plan", "demand"].map(String::from).into())
        {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{asked:?}\n{delivered:?}\n{}\n{}",
            exporter.tail(),
            alerter.tail()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for process in [alerter, exporter, sandbox] {
        assert!(process.stop().await.unwrap().success());
    }
}
