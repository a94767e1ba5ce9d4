use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::sleep;
use tonic::Code;

use super::{Calls, Page, Sent, Side, Teller, process};
use crate::{
    clock::Clock,
    otlp::{
        KeyValue, Resource,
        metrics::{Data, Metric, Request, Temporality},
    },
};

fn page(calls: &Calls) -> String {
    let mut page = Page::default();
    calls.write("echo", &mut page);
    page.text()
}

#[tokio::test(start_paused = true)]
async fn a_call_is_in_flight_and_then_in_its_bucket() {
    let calls = Arc::new(Calls::new(Side::Server, ["/a.B/C"].into_iter()));
    let mut timed = calls.begin("/a.B/C");
    assert!(page(&calls).contains("plaza_server_calls_in_flight{service=\"echo\"} 1\n"));
    // A bound belongs to its own bucket.
    sleep(Duration::from_millis(25)).await;
    timed.end(Code::NotFound);
    timed.end(Code::Ok);
    drop(timed);
    let text = page(&calls);
    let labels =
        "service=\"echo\",rpc_system_name=\"grpc\",rpc_method=\"a.B/C\",rpc_response_status_code=\"NOT_FOUND\"";
    for line in [
        format!("rpc_server_call_duration_seconds_bucket{{{labels},le=\"0.01\"}} 0\n"),
        format!("rpc_server_call_duration_seconds_bucket{{{labels},le=\"0.025\"}} 1\n"),
        format!("rpc_server_call_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 1\n"),
        format!("rpc_server_call_duration_seconds_sum{{{labels}}} 0.025\n"),
        format!("rpc_server_call_duration_seconds_count{{{labels}}} 1\n"),
        "plaza_server_calls_in_flight{service=\"echo\"} 0\n".to_owned(),
    ] {
        assert!(text.contains(&line), "{line}{text}");
    }
    assert!(!text.contains("\"OK\""), "{text}");
}

#[test]
fn invented_methods_make_no_series() {
    let calls = Arc::new(Calls::new(Side::Client, ["/a.B/C"].into_iter()));
    for at in 0..100 {
        let path = format!("/a.B/{at}");
        let mut call = calls.begin(&path);
        call.sent(Sent::First);
        call.end(Code::Unimplemented);
    }
    calls.begin("/a.B/C").sent(Sent::Retry);
    let text = page(&calls);
    assert_eq!(text.matches("duration_seconds_count{").count(), 2, "{text}");
    assert!(
        text.contains(
            "rpc_method=\"_OTHER\",rpc_response_status_code=\"UNIMPLEMENTED\",server_address=\"_OTHER\",error_type=\"UNIMPLEMENTED\"} 100\n"
        ),
        "{text}"
    );
    assert!(
        text.contains(
            "grpc_client_attempt_started_total{service=\"echo\",grpc_method=\"_OTHER\",grpc_target=\"_OTHER\"} 100\n"
        ),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waited_for_is_cancelled() {
    let calls = Arc::new(Calls::new(Side::Client, ["/a.B/C"].into_iter()));
    drop(calls.begin("/a.B/C"));
    assert!(
        page(&calls)
            .contains("rpc_response_status_code=\"CANCELLED\",server_address=\"a\",error_type=\"CANCELLED\"} 1\n")
    );
}

#[test]
fn samples_of_one_name_stand_together_and_labels_are_escaped() {
    let mut page = Page::default();
    page.gauge("b", "B.", &[("l", "a\"b\\c\nd")], 1.5);
    page.counter("a_total", "A.", &[], 2.0);
    page.gauge("b", "B.", &[("l", "x")], 0.0);
    let wanted = "# HELP a_total A.\n# TYPE a_total counter\na_total 2\n\
        # HELP b B.\n# TYPE b gauge\nb{l=\"a\\\"b\\\\c\\nd\"} 1.5\nb{l=\"x\"} 0\n";
    assert_eq!(page.text(), wanted);
}

fn told(page: Page) -> Request {
    let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    let clock = Clock::simulated(began + Duration::from_secs(60));
    page.request(&Teller { name: "plaza", instance: "one".to_owned(), clock, began })
}

fn of<'a>(request: &'a Request, service: &str, name: &str) -> &'a Metric {
    let whose = Some(Resource::of(service, "one"));
    let resource = request.resource_metrics.iter().find(|one| one.resource == whose).expect(service);
    resource.scope_metrics[0].metrics.iter().find(|metric| metric.name == name).expect(name)
}

#[tokio::test(start_paused = true)]
async fn opentelemetry_has_its_own_names_and_each_service_by_itself() {
    let calls = Arc::new(Calls::new(Side::Server, ["/a.B/C"].into_iter()));
    let mut timed = calls.begin("/a.B/C");
    sleep(Duration::from_millis(25)).await;
    timed.end(Code::Internal);
    drop(timed);
    let mut page = Page::default();
    calls.write("echo", &mut page);
    page.counter("process_cpu_seconds_total", "Time.", &[], 1.5);
    page.gauge("plaza_work_oldest_seconds", "Since when.", &[("target", "a_b")], 0.0);
    page.gauge("db_client_connection_pending_requests", "Waiting.", &[("service", "echo")], 3.0);
    let request = told(page);

    let duration = of(&request, "echo", "rpc.server.call.duration");
    assert_eq!((duration.unit.as_str(), duration.description.contains("request")), ("s", true));
    let Some(Data::Histogram(durations)) = &duration.data else { panic!("{duration:?}") };
    assert_eq!(durations.aggregation_temporality(), Temporality::Cumulative);
    let [point] = &durations.data_points[..] else { panic!("{durations:?}") };
    let attributes = [
        ("rpc.system.name", "grpc"),
        ("rpc.method", "a.B/C"),
        ("rpc.response.status_code", "INTERNAL"),
        ("error.type", "INTERNAL"),
    ];
    assert_eq!(point.attributes, attributes.map(|(key, text)| KeyValue::new(key, text)));
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1_000_000_000, 61_000_000_000));
    assert_eq!((point.count, point.sum), (1, Some(0.025)));
    assert_eq!((point.explicit_bounds.len(), point.bucket_counts.len()), (14, 15));
    assert_eq!((point.explicit_bounds[2], point.bucket_counts[2]), (0.025, 1));

    let cpu = of(&request, "plaza", "process.cpu.time");
    let Some(Data::Sum(sum)) = &cpu.data else { panic!("{cpu:?}") };
    assert!(cpu.unit == "s" && sum.is_monotonic && sum.data_points[0].as_double == Some(1.5), "{cpu:?}");
    let oldest = of(&request, "plaza", "plaza_work_oldest");
    let Some(Data::Gauge(gauge)) = &oldest.data else { panic!("{oldest:?}") };
    assert_eq!((oldest.unit.as_str(), gauge.data_points[0].as_double), ("s", Some(0.0)));
    assert_eq!(gauge.data_points[0].attributes, [KeyValue::new("target", "a_b")]);
    let waiting = of(&request, "echo", "db.client.connection.pending_requests");
    assert_eq!(waiting.unit, "{request}");
    assert!(matches!(&waiting.data, Some(Data::Sum(sum)) if !sum.is_monotonic), "{waiting:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_described() {
    let mut page = Page::default();
    process(&mut page);
    let text = page.text();
    for name in ["cpu_seconds_total", "start_time_seconds", "resident_memory_bytes", "open_fds", "max_fds", "threads"] {
        let value = text.lines().find_map(|line| line.strip_prefix(&format!("process_{name} ")));
        assert!(value.is_some_and(|value| value.parse::<f64>().is_ok_and(|value| value >= 0.0)), "{name}: {text}");
    }
}
