use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tonic::Code;

use super::{Calls, Page, Sent, Side, process};

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
    assert!(text.contains("rpc_method=\"_OTHER\",rpc_response_status_code=\"UNIMPLEMENTED\"} 100\n"), "{text}");
    assert!(
        text.contains("grpc_client_attempt_started_total{service=\"echo\",grpc_method=\"_OTHER\"} 100\n"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waited_for_is_cancelled() {
    let calls = Arc::new(Calls::new(Side::Client, ["/a.B/C"].into_iter()));
    drop(calls.begin("/a.B/C"));
    assert!(page(&calls).contains("rpc_response_status_code=\"CANCELLED\"} 1\n"));
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
