use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use praxis_worker::frames::{
    Answer, Ended, Exit, Inbox, MAX_ANSWER_BYTES, MAX_ORDER_BYTES, Malformed, Order, Run, VERSION,
};
use proptest::prelude::*;

fn text() -> impl Strategy<Value = OsString> {
    proptest::collection::vec(1_u8.., 0..40).prop_map(OsString::from_vec)
}

fn order() -> impl Strategy<Value = Order> {
    let words = proptest::collection::vec(text(), 0..6);
    let variables = proptest::collection::vec((text(), text()), 0..6);
    let run =
        (any::<u64>(), text(), words, variables).prop_map(|(call, folder, words, variables)| {
            Order::Run(Run {
                call,
                folder,
                words,
                variables,
            })
        });
    let number = any::<u64>();
    prop_oneof![
        run,
        number.prop_map(Order::Stop),
        number.prop_map(Order::Ping),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let exit = prop_oneof![
        any::<i32>().prop_map(Exit::Code),
        any::<i32>().prop_map(Exit::Signal)
    ];
    let ended = (
        any::<u64>(),
        exit,
        any::<Option<u32>>(),
        any::<bool>(),
        any::<u64>(),
    );
    let ended = ended.prop_map(|(call, exit, oom_kills, clean, nanoseconds)| {
        Answer::Ended(Ended {
            call,
            exit,
            oom_kills,
            clean,
            nanoseconds,
        })
    });
    let refused = (any::<u64>(), any::<i32>(), any::<bool>());
    prop_oneof![
        any::<u16>().prop_map(Answer::Hello),
        any::<u64>().prop_map(Answer::Pong),
        refused.prop_map(|(call, errno, folder)| Answer::Refused {
            call,
            errno,
            folder
        }),
        ended,
    ]
}

/// What comes out of an inbox into which the bytes go in pieces of this size.
fn deliver<T>(
    bytes: &[u8],
    piece: usize,
    limit: usize,
    decode: impl Fn(&[u8]) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut inbox = Inbox::new(limit);
    let mut out = Vec::new();
    for piece in bytes.chunks(piece) {
        inbox.push(piece);
        while let Some(frame) = inbox.next(&decode)? {
            out.push(frame);
        }
    }
    assert!(inbox.is_empty(), "nothing stays behind");
    Ok(out)
}

proptest! {
    #[test]
    fn orders_arrive_as_they_were_sent(orders in proptest::collection::vec(order(), 1..4), piece in 1_usize..80) {
        let bytes: Vec<u8> = orders.iter().flat_map(|order| order.encode().unwrap()).collect();
        prop_assert_eq!(deliver(&bytes, piece, MAX_ORDER_BYTES, Order::decode), Ok(orders));
    }

    #[test]
    fn answers_arrive_as_they_were_sent(answers in proptest::collection::vec(answer(), 1..4), piece in 1_usize..80) {
        let bytes: Vec<u8> = answers.iter().flat_map(Answer::encode).collect();
        prop_assert_eq!(deliver(&bytes, piece, MAX_ANSWER_BYTES, Answer::decode), Ok(answers));
    }

    #[test]
    fn no_bytes_make_it_fail_otherwise_than_by_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for tag in 0..5 {
            let frame: Vec<u8> = [&[tag], bytes.as_slice()].concat();
            if let Ok(order) = Order::decode(&frame) {
                prop_assert_eq!(&order.encode().unwrap()[4..], frame.as_slice());
            }
            if let Ok(answer) = Answer::decode(&frame) {
                let encoded = answer.encode();
                prop_assert_eq!(Answer::decode(&encoded[4..]), Ok(answer));
            }
        }
    }

    #[test]
    fn a_frame_that_was_cut_or_added_to_is_refused(order in order(), cut in any::<proptest::sample::Index>()) {
        let whole = order.encode().unwrap();
        let frame = &whole[4..];
        prop_assert!(Order::decode(&frame[..cut.index(frame.len())]).is_err());
        prop_assert!(Order::decode(&[frame, b"x"].concat()).is_err());
    }
}

#[test]
fn nothing_is_kept_for_a_length_above_the_limit() {
    let mut inbox = Inbox::new(MAX_ANSWER_BYTES);
    inbox.push(&(MAX_ANSWER_BYTES as u32).to_le_bytes());
    assert_eq!(inbox.next(Answer::decode), Ok(None));
    let mut inbox = Inbox::new(MAX_ANSWER_BYTES);
    inbox.push(&(MAX_ANSWER_BYTES as u32 + 1).to_le_bytes());
    let error = inbox.next(Answer::decode).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("not a frame of protocol {VERSION}: it is longer than any may be")
    );
}

#[test]
fn an_order_above_the_limit_is_not_made() {
    let run = Run {
        call: 1,
        folder: "/".into(),
        words: vec!["x".repeat(MAX_ORDER_BYTES).into()],
        variables: Vec::new(),
    };
    assert!(Order::Run(run).encode().is_err());
}
