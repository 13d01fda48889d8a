use super::super::content::STAMP_BYTES;
use super::*;

const RUN: RunId = RunId(5);

#[derive(Clone, Copy)]
enum Delivery {
    New(u64),
    Again(u64),
    Foreign,
}
use Delivery::{Again, Foreign, New};

fn ledger(deliveries: &[Delivery]) -> Ledger {
    let mut ledger = Ledger::new(Accept::Run(RUN));
    for delivery in deliveries {
        let (run, sequence, redelivered) = match *delivery {
            New(sequence) => (RUN, sequence, false),
            Again(sequence) => (RUN, sequence, true),
            Foreign => (RunId(6), 0, false),
        };
        let source = SourceId { run, producer: 0 };
        let mut body = [0; STAMP_BYTES];
        let stamp = Stamp {
            source,
            sequence,
            sent_ns: 0,
        };
        stamp.write(&mut body);
        ledger.enter(&body, redelivered);
    }
    ledger
}

/// distinct, duplicated, out of order, redelivered, foreign
fn figures(ledger: &Ledger) -> [u64; 5] {
    let tally = ledger.tally;
    [
        ledger.distinct(),
        tally.duplicated,
        tally.out_of_order,
        tally.redelivered,
        tally.foreign,
    ]
}

#[test]
fn deliveries_are_checked_by_their_content() {
    let cases: [(&[Delivery], [u64; 5]); 7] = [
        (&[New(0), New(1), New(2)], [3, 0, 0, 0, 0]),
        (&[New(0), New(2)], [2, 0, 0, 0, 0]),
        (&[New(0), New(0), New(1)], [2, 1, 0, 0, 0]),
        (&[New(1), New(0), New(2)], [3, 0, 1, 0, 0]),
        (&[New(0), New(1), Again(0), New(2)], [3, 0, 0, 1, 0]),
        (&[New(1), Again(0)], [2, 0, 0, 1, 0]),
        (&[Foreign, New(0)], [1, 0, 0, 0, 1]),
    ];
    for (index, (deliveries, expected)) in cases.into_iter().enumerate() {
        assert_eq!(figures(&ledger(deliveries)), expected, "case {index}");
    }
}

#[test]
fn consumers_of_a_queue_are_checked_together() {
    let cases: [(&[Delivery], &[Delivery], [u64; 5]); 4] = [
        (&[New(0), New(2)], &[New(1), New(3)], [4, 0, 0, 0, 0]),
        (&[New(0), New(1)], &[New(1), New(200)], [3, 1, 0, 0, 0]),
        (&[New(0)], &[Again(0), New(1)], [2, 0, 0, 1, 0]),
        (&[New(3), New(2)], &[Foreign], [2, 0, 1, 0, 1]),
    ];
    for (index, (first, second, expected)) in cases.into_iter().enumerate() {
        let mut both = ledger(first);
        both.merge(ledger(second));
        assert_eq!(figures(&both), expected, "case {index}");
    }
}

#[test]
fn a_drain_accepts_every_run() {
    let mut ledger = Ledger::new(Accept::Any);
    for run in [1, 2] {
        let source = SourceId {
            run: RunId(run),
            producer: 0,
        };
        let mut body = [0; STAMP_BYTES];
        let stamp = Stamp {
            source,
            sequence: 0,
            sent_ns: 0,
        };
        stamp.write(&mut body);
        assert_eq!(ledger.enter(&body, false), Some(stamp));
    }
    assert_eq!(figures(&ledger), [2, 0, 0, 0, 0]);
}
