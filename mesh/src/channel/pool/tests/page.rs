//! What the page of metrics tells.

use super::*;
use crate::{admin::Admin, metrics::ClientMetrics, shutdown::Shutdown};

#[tokio::test(start_paused = true)]
async fn the_page_tells_how_the_endpoints_are() {
    let (admin, metrics) = (Admin::new(Shutdown::manual()), ClientMetrics::new());
    admin.add_client("sso", metrics.clone());
    let hosts = Hosts::of([host(millis(1), Some(Code::Internal)).0, up(), Host::Down]);
    let channel = channel(ChannelOptions { metrics, ..options(&hosts) });
    assert_eq!(load(&channel, "Once", 1, 300).await.len(), 5, "one is ejected");
    hosts.set(1, Host::Down);
    sleep(millis(1)).await;
    let page = admin.metrics().await;
    let (labels, method) = ("service=\"sso\",grpc_target=\"echo\"", "grpc_lb_outlier_detection_detection_method");
    for line in [
        format!("plaza_channel_endpoints{{{labels},state=\"ejected\"}} 1\n"),
        format!("plaza_channel_endpoints{{{labels},state=\"ready\"}} 0\n"),
        format!("plaza_channel_picks_waiting{{{labels}}} 0\n"),
        format!("plaza_channel_picks_waited_total{{{labels}}} 1\n"),
        format!("plaza_channel_retry_tokens{{{labels}}} 1000\n"),
        format!("grpc_lb_outlier_detection_ejections_enforced_total{{{labels},{method}=\"consecutive_failures\"}} 1\n"),
        format!("grpc_lb_outlier_detection_ejections_enforced_total{{{labels},{method}=\"failure_percentage\"}} 0\n"),
        format!("grpc_subchannel_connection_attempts_succeeded_total{{{labels}}} 2\n"),
        format!("grpc_subchannel_disconnections_total{{{labels}}} 1\n"),
    ] {
        assert!(page.contains(&line), "{line}{page}");
    }
    assert!(!page.contains("connection_attempts_failed_total{service=\"sso\",grpc_target=\"echo\"} 0\n"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn of_two_channels_to_one_callee_the_page_tells_the_sum_and_the_smaller_budget() {
    let (admin, metrics) = (Admin::new(Shutdown::manual()), ClientMetrics::new());
    admin.add_client("sso", metrics.clone());
    let hosts = Hosts::of([up(), up()]);
    let [first, second] = [(); 2].map(|()| channel(ChannelOptions { metrics: metrics.clone(), ..options(&hosts) }));
    let tells = async |ready: u32, made: u32, tokens: u32| {
        let page = admin.metrics().await;
        for (name, state, value) in [
            ("plaza_channel_endpoints", ",state=\"ready\"", ready),
            ("grpc_subchannel_connection_attempts_succeeded_total", "", made),
            ("plaza_channel_retry_tokens", "", tokens),
        ] {
            let labels = format!("{name}{{service=\"sso\",grpc_target=\"echo\"{state}}} ");
            let values: Vec<_> = page.lines().filter_map(|line| line.strip_prefix(&labels)).collect();
            assert_eq!(values, [value.to_string()], "{name}");
        }
    };
    for channel in [&first, &second] {
        say(channel, "Once", "").await.expect("answered");
    }
    sleep(millis(1)).await;
    tells(4, 4, 1000).await;
    for n in [0, 1] {
        hosts.set(n, host(millis(1), Some(Code::Unavailable)).0);
    }
    sleep(Duration::from_secs(5)).await;
    say(&first, "Public", "").await.expect_err("down, three times");
    tells(4, 8, 997).await;
    drop(first);
    tells(2, 4, 1000).await;
}
