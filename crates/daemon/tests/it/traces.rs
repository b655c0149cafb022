//! Spans arrive at an OTLP receiver, over both transports, and a dead one costs nothing.
//!
//! The receivers are this file's: an HTTP/1.1 server and a gRPC server on `h2`, which decode what they
//! are sent with the protocol's own generated types.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::mpsc,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::any_value::Value,
};
use prost::Message;

use crate::process::Process;

/// Runs the daemon until it is ready, stops it, and checks what `received` gets.
fn check(variables: &[(&str, &str)], received: &mpsc::Receiver<ExportTraceServiceRequest>) {
    let mut process = Process::start(&[], variables);
    process.wait_for("ready");
    process.signal("-TERM");
    let (status, log) = process.end();
    assert_eq!(status.code(), Some(0), "{log}");
    let request = received.recv_timeout(Duration::from_secs(5)).expect("no span arrived");
    let spans = &request.resource_spans[0];
    let name =
        spans.resource.as_ref().unwrap().attributes.iter().find(|pair| pair.key == "service.name").unwrap();
    let name = name.value.clone().unwrap().value.unwrap();
    assert_eq!(name, Value::StringValue("smallest".to_owned()));
    let span = &spans.scope_spans[0].spans[0];
    assert_eq!(span.name, "start");
    assert!(span.attributes.iter().any(|pair| pair.key == "answer"), "{:?}", span.attributes);
}

#[test]
fn over_http() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut request, mut piece) = (Vec::new(), [0; 4096]);
            let (head, body) = loop {
                let read = stream.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..read]);
                let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
                let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if request.len() >= end + 4 + length.parse::<usize>().unwrap() {
                    break (head, request.split_off(end + 4));
                }
            };
            assert!(head.starts_with("post /v1/traces "), "{head}");
            assert!(head.contains("x-tenant: fintech"), "{head}");
            sender.send(ExportTraceServiceRequest::decode(&body[..]).unwrap()).unwrap();
            let answer =
                "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=fintech");
    check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), headers], &received);
}

#[test]
fn over_grpc() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = mpsc::channel();
    runtime.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            // Beside the connection, which must go on reading.
            tokio::spawn(take(request, respond, sender.clone()));
        }
    });
    let protocol = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), protocol], &received);
}

async fn take(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<bytes::Bytes>,
    sender: mpsc::Sender<ExportTraceServiceRequest>,
) {
    assert_eq!(request.uri().path(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    let (mut body, mut message) = (request.into_body(), Vec::new());
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        message.extend_from_slice(&piece);
    }
    // gRPC's frame: not compressed, four bytes of length.
    assert_eq!(message[0], 0);
    sender.send(ExportTraceServiceRequest::decode(&message[5..]).unwrap()).unwrap();
    let head = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = respond.send_response(head, false).unwrap();
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    let mut frame = vec![0, 0, 0, 0, u8::try_from(answer.len()).unwrap()];
    frame.extend_from_slice(&answer);
    stream.send_data(frame.into(), false).unwrap();
    let status = [("grpc-status".parse().unwrap(), "0".parse().unwrap())];
    stream.send_trailers(http::HeaderMap::from_iter(status)).unwrap();
}

#[test]
fn a_dead_collector_costs_nothing_but_one_line() {
    // Bound and not listening to: refused at once; 192.0.2.1 is never there, and answers nothing.
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for endpoint in [format!("http://{refused}"), "http://192.0.2.1:4318".to_owned()] {
        let begin = Instant::now();
        let mut process = Process::start(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
        process.wait_for("ready");
        process.signal("-TERM");
        let (status, log) = process.end();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(begin.elapsed() < Duration::from_secs(6), "{:?}: {log}", begin.elapsed());
        assert!(log.matches("traces are not taken").count() <= 1, "{log}");
    }
}
