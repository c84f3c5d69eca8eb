//! Reading: in how many calls, and what becomes of those that fail.

use std::sync::Arc;

use serde_json::json;
use stationkeeper::connector::{CallResult, Identity};
use stationkeeper::execute::{Act, Stop, Wire};
use stationkeeper::observe::{Aborted, Observation, PIECE_WHEN_UNKNOWN, Pieces, observe};
use stationkeeper_core::observed::Reading;
use stationkeeper_core::words::Key;

use crate::scripted::{
    Scripted, Table, answer, ask, asks, error, names, of_size, read, reading, values,
};

#[tokio::test]
async fn a_known_limit_is_honoured_exactly_and_calls_are_the_fewest_possible() {
    for (keys, limit, calls) in [
        (40, 40, 1),
        (40, 39, 2),
        (40, 10, 4),
        (7, 3, 3),
        (1, 1, 1),
        (512, 100, 6),
    ] {
        let mut table = Table::large(keys);
        let station = Scripted::new(move |action, payload| {
            assert!(names(payload).len() <= limit);
            table.call(action, payload)
        });
        let seen = read(&station, &asks(keys), of_size(limit)).await;
        assert_eq!(
            (values(&seen), seen.calls),
            (keys, calls),
            "{keys} keys in pieces of {limit}"
        );
        assert_eq!(seen.aborted, None);
    }
}

#[tokio::test]
async fn an_unknown_limit_is_asked_for_along_with_the_first_small_piece_and_then_honoured() {
    let mut table = Table::large(60);
    table
        .0
        .insert("GetConfigurationMaxKeys".to_owned(), "35".to_owned());
    let station = Scripted::new(move |action, payload| table.call(action, payload));
    let seen = read(&station, &asks(60), Pieces::default()).await;
    assert_eq!(station.pieces(), [PIECE_WHEN_UNKNOWN + 1, 35, 5]);
    assert_eq!((values(&seen), seen.piece), (60, Some(35)));
    assert!(
        !seen
            .observed
            .readings
            .contains_key(&Key::from("GetConfigurationMaxKeys")),
        "it was not asked by the caller"
    );
}

#[tokio::test]
async fn a_station_without_a_limit_is_asked_in_small_pieces_and_not_asked_for_the_limit_again() {
    let table = Table::large(45);
    let station = Scripted::new(move |_, payload| table.get(&names(payload)));
    let seen = read(&station, &asks(45), Pieces::default()).await;
    assert_eq!(station.pieces(), [21, 20, 5]);
    assert_eq!(seen.piece, Some(20));
}

#[tokio::test]
async fn a_station_that_is_delivered_with_a_small_limit_is_never_asked_for_more() {
    for (says, pieces) in [
        (Some("1"), vec![1; 6]),
        (Some("4"), vec![1, 4, 1]),
        (None, vec![1, 2, 2, 1]),
    ] {
        let mut table = Table::large(5);
        if let Some(says) = says {
            let key = "GetConfigurationMaxKeys".to_owned();
            table.0.insert(key, says.to_owned());
        }
        let station = Scripted::new(move |action, payload| table.call(action, payload));
        let delivered = Pieces {
            delivered: Some(2),
            ..Pieces::default()
        };
        let seen = read(&station, &asks(5), delivered).await;
        assert_eq!(station.pieces(), pieces, "{says:?}");
        assert_eq!((values(&seen), seen.aborted), (5, None));
    }
}

#[tokio::test]
async fn a_limit_that_is_nonsense_is_no_limit() {
    for nonsense in ["0", "-1", "many", ""] {
        let mut table = Table::large(25);
        table
            .0
            .insert("GetConfigurationMaxKeys".to_owned(), nonsense.to_owned());
        let station = Scripted::new(move |action, payload| table.call(action, payload));
        assert_eq!(
            values(&read(&station, &asks(25), Pieces::default()).await),
            25,
            "{nonsense:?}"
        );
        assert_eq!(station.pieces(), [21, 5]);
    }
}

#[tokio::test]
async fn the_smaller_of_the_stations_and_the_catalogues_limit_counts() {
    let table = Table::large(12);
    let station = Scripted::new(move |_, payload| table.get(&names(payload)));
    read(
        &station,
        &asks(12),
        Pieces {
            station: Some(50),
            catalogue: Some(4),
            ..Pieces::default()
        },
    )
    .await;
    assert_eq!(station.pieces(), [4, 4, 4]);
}

#[tokio::test]
async fn a_key_is_asked_for_once_and_never_are_all_keys_asked_for() {
    let table = Table::large(1);
    let station = Scripted::new(move |_, payload| table.get(&names(payload)));
    read(&station, &ask(&["K0", "K0"]), of_size(5)).await;
    assert_eq!(station.asked(), [["K0"]]);
    let seen = read(
        &Scripted::new(|_, _| unreachable!("nothing was to be asked")),
        &[],
        Pieces::default(),
    )
    .await;
    assert_eq!(seen, Observation::default());
}

/// A station that fails in one way when it is asked for more than so many keys.
fn takes_at_most(
    most: usize,
    count: usize,
    fate: impl Fn() -> CallResult + Send + 'static,
) -> Arc<Scripted> {
    let table = Table::large(count);
    Scripted::new(move |_, payload| {
        let names = names(payload);
        if names.len() > most {
            fate()
        } else {
            table.get(&names)
        }
    })
}

#[tokio::test(start_paused = true)]
async fn halving_finds_what_a_station_takes_however_it_fails() {
    let fates: [fn() -> CallResult; 5] = [
        || error("InternalError"),
        || error("OccurrenceConstraintViolation"),
        || CallResult::Garbled("expected `,`".to_owned()),
        || CallResult::TimedOut,
        || answer(json!({})),
    ];
    for fate in fates {
        let station = takes_at_most(4, 20, fate);
        let seen = read(&station, &asks(20), of_size(20)).await;
        assert_eq!((values(&seen), &seen.aborted), (20, &None), "{:?}", fate());
        let piece = seen.piece.expect("the size was found out");
        assert!((2..=4).contains(&piece), "{piece}");
        assert!(seen.calls <= 16, "{} calls", seen.calls);
        let again = takes_at_most(4, 20, fate);
        assert_eq!(
            read(&again, &asks(20), of_size(piece)).await.calls as usize,
            20_usize.div_ceil(piece)
        );
    }
}

#[tokio::test]
async fn a_limit_that_the_station_does_not_keep_to_is_corrected() {
    let station = takes_at_most(8, 30, || error("GenericError"));
    let seen = read(&station, &asks(30), of_size(30)).await;
    assert_eq!(values(&seen), 30);
    assert!(seen.piece.is_some_and(|piece| piece <= 8));
}

#[tokio::test(start_paused = true)]
async fn one_bad_key_is_found_and_the_others_are_read() {
    let fates: [fn() -> CallResult; 3] = [
        || error("InternalError"),
        || CallResult::Garbled("eof".to_owned()),
        || CallResult::TimedOut,
    ];
    for fate in fates {
        let table = Table::large(20);
        let station = Scripted::new(move |_, payload| {
            let names = names(payload);
            if names.iter().any(|name| name == "K7") {
                fate()
            } else {
                table.get(&names)
            }
        });
        let seen = read(&station, &asks(20), of_size(20)).await;
        assert_eq!((values(&seen), &seen.aborted), (19, &None));
        assert!(matches!(
            reading(&seen, "K7"),
            Reading::Failed {
                disconnected: false,
                ..
            }
        ));
        assert_eq!(seen.piece, None, "the size of the piece was not to blame");
        assert!(seen.calls <= 14, "{} calls", seen.calls);
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_short_is_asked_to_its_end() {
    let table = Table::large(20);
    let station =
        Scripted::new(move |_, payload| table.get(&names(payload)[..names(payload).len().min(8)]));
    let seen = read(&station, &asks(20), of_size(20)).await;
    assert_eq!(values(&seen), 20);
    assert_eq!(station.pieces(), [20, 12, 4]);
    assert_eq!(seen.piece, Some(8));
}

#[tokio::test]
async fn a_key_in_neither_list_is_unreported_which_is_not_unknown() {
    let table = Table::of(&[("A", "1"), ("B", "2")]);
    let station = Scripted::new(move |_, payload| {
        let mut names = names(payload);
        names.retain(|name| name != "Hidden");
        table.get(&names)
    });
    let seen = read(
        &station,
        &ask(&["A", "Hidden", "Strange", "B"]),
        of_size(10),
    )
    .await;
    assert_eq!(reading(&seen, "Hidden"), &Reading::Unreported);
    assert_eq!(reading(&seen, "Strange"), &Reading::Unknown);
    assert_eq!(
        station.asked()[1..],
        [["Hidden"]],
        "it is asked for again by name, once"
    );
    assert_eq!(seen.piece, None);
}

#[tokio::test(start_paused = true)]
async fn a_silent_station_is_left_alone_after_three_calls() {
    let station = Scripted::new(|_, _| CallResult::TimedOut);
    let seen = read(&station, &asks(40), of_size(20)).await;
    assert_eq!(station.pieces(), [20, 10, 1]);
    assert!(
        matches!(&seen.aborted, Some(Aborted::Unresponsive(what)) if what.contains("30 s")),
        "{:?}",
        seen.aborted
    );
    assert!(
        seen.observed.readings.is_empty(),
        "nothing is known of any key"
    );
}

#[tokio::test]
async fn a_station_that_knows_no_get_configuration_is_not_asked_key_by_key() {
    let station = Scripted::new(|_, _| error("NotImplemented"));
    let seen = read(&station, &asks(300), of_size(100)).await;
    assert_eq!(seen.calls, 3);
    assert!(
        matches!(seen.aborted, Some(Aborted::Unresponsive(what)) if what.contains("NotImplemented"))
    );
}

#[tokio::test]
async fn many_bad_keys_do_not_hide_the_good_ones() {
    let table = Table::large(16);
    let station = Scripted::new(move |_, payload| {
        let names = names(payload);
        if names
            .iter()
            .any(|name| ["K0", "K1", "K2", "K3", "K9"].contains(&name.as_str()))
        {
            error("InternalError")
        } else {
            table.get(&names)
        }
    });
    let seen = read(&station, &asks(16), of_size(16)).await;
    assert_eq!(
        (values(&seen), seen.observed.readings.len(), &seen.aborted),
        (11, 16, &None)
    );
}

#[tokio::test]
async fn a_disconnect_ends_the_pass_and_names_the_keys_in_flight() {
    let table = Table::large(9);
    let station = Scripted::new(move |_, payload| {
        let names = names(payload);
        if names.contains(&"K4".to_owned()) {
            CallResult::Disconnected
        } else {
            table.get(&names)
        }
    });
    let seen = read(&station, &asks(9), of_size(3)).await;
    assert_eq!(seen.aborted, Some(Aborted::Disconnected));
    assert_eq!(
        seen.falls,
        [Key::from("K3"), Key::from("K4"), Key::from("K5")]
    );
    assert_eq!(
        (values(&seen), seen.observed.readings.len()),
        (3, 3),
        "what was read before counts"
    );
}

#[tokio::test]
async fn keys_under_suspicion_are_asked_for_last_and_alone_so_that_a_fall_names_one_key() {
    let table = Table::large(6);
    let station = Scripted::new(move |_, payload| {
        let names = names(payload);
        if names.contains(&"K1".to_owned()) {
            CallResult::Disconnected
        } else {
            table.get(&names)
        }
    });
    let mut asks = asks(6);
    for ask in &mut asks[..3] {
        ask.alone = true;
    }
    let seen = read(&station, &asks, Pieces::default()).await;
    assert_eq!(
        station.asked(),
        [vec!["K3", "K4", "K5"], vec!["K0"], vec!["K1"]]
    );
    assert_eq!(seen.falls, [Key::from("K1")]);
    assert!(matches!(
        reading(&seen, "K1"),
        Reading::Failed {
            disconnected: true,
            ..
        }
    ));
    assert_eq!(values(&seen), 4);
}

#[tokio::test]
async fn what_was_not_sent_is_not_counted_and_blames_no_key() {
    let wire = |fate: fn() -> CallResult| Wire::new(Scripted::new(move |_, _| fate()));
    let identity = Identity::new("CP1");
    let offline = observe(
        &wire(|| CallResult::Offline),
        &identity,
        &asks(3),
        of_size(9),
        &|_| Ok(()),
    )
    .await;
    assert_eq!(
        offline,
        Observation {
            aborted: Some(Aborted::Offline),
            ..Observation::default()
        }
    );
    let undelivered = wire(|| CallResult::NotDelivered("not registered".to_owned()));
    let undelivered = observe(&undelivered, &identity, &asks(3), of_size(9), &|_| Ok(())).await;
    assert_eq!(
        undelivered.aborted,
        Some(Aborted::NotDelivered("not registered".to_owned()))
    );
    let station = Scripted::new(|_, _| unreachable!("the guard said no"));
    let no = |act| {
        assert_eq!(act, Act::Read);
        Err(Stop("the brake is at NoCalls".to_owned()))
    };
    let stopped = observe(&Wire::new(station), &identity, &asks(3), of_size(9), &no).await;
    assert_eq!(
        stopped.aborted,
        Some(Aborted::Stopped(Stop("the brake is at NoCalls".to_owned())))
    );
}
