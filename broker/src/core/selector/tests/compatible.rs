//! What the JMS specification says, and what users of ActiveMQ rely on.

use super::*;

/// The message that ActiveMQ's own users know from its examples, with STOMP's strings.
fn james() -> Sample {
    Sample::of(
        "name:James|location:London|byteProp:123|longProp:123|floatProp:123.0|doubleProp:123.0|rank:123|version:2|\
         quote:'In God We Trust'|foo:_foo|punctuation:!#$&()*+,-./;<=>?@[\\]^`{}~|trueProp:true|falseProp:false",
    )
    .with(JmsHeader::Type, text("selector-test"))
    .with(JmsHeader::MessageId, text("ID:a-1-1"))
    .with(JmsHeader::Priority, HeaderValue::Integer(4))
}

#[test]
fn literals_are_those_of_jms() {
    check(
        &Sample::of("text:it's|number:-95.7|seven:7"),
        &[
            ("text = 'it''s'", T),
            ("number = -95.7", T),
            ("seven = 7.", T),
            ("number < .5", T),
            ("seven < 7E3", T),
            ("7E3 = 7000", T),
            ("-57.9E2 = -5790", T),
            ("+6.2 = 6.2", T),
            ("57 <> -957", T),
            ("+62 = 62", T),
            ("TRUE", T),
            ("true", T),
            ("False", F),
            ("NOT fALSE", T),
            ("9223372036854775807 > 9223372036854775806", T),
            ("-9223372036854775808 < -9223372036854775807", T),
        ],
    );
}

#[test]
fn identifiers_are_case_sensitive_and_absent_ones_are_null() {
    check(
        &Sample::of("Name:James|_x:1|$y:2|a1$_:3|straße:4"),
        &[
            ("Name = 'James'", T),
            ("name = 'James'", U),
            ("NAME IS NULL", T),
            ("_x = 1 AND $y = 2 AND a1$_ = 3", T),
            ("straße = 4", T),
            ("JMSCorrelationID IS NULL", T),
            ("jmspriority IS NULL", T),
            ("name IS NULL AND Name IS NOT NULL", T),
        ],
    );
}

#[test]
fn delivery_mode_is_a_word_and_priority_a_number() {
    let stored = james().with(JmsHeader::DeliveryMode, HeaderValue::PERSISTENT);
    check(
        &stored,
        &[
            ("JMSDeliveryMode = 'PERSISTENT'", T),
            ("JMSDeliveryMode = 'NON_PERSISTENT'", F),
            ("JMSDeliveryMode <> 'NON_PERSISTENT'", T),
            ("JMSDeliveryMode IN ('PERSISTENT', 'NON_PERSISTENT')", T),
            ("JMSPriority >= 4", T),
            ("JMSPriority BETWEEN 5 AND 9", F),
            ("JMSPriority = '4'", F),
        ],
    );
    let volatile = james().with(JmsHeader::DeliveryMode, HeaderValue::NON_PERSISTENT);
    check(&volatile, &[("JMSDeliveryMode = 'NON_PERSISTENT'", T)]);
}

#[test]
fn strings_of_stomp_compare_as_numbers_and_booleans_where_the_other_side_is_one() {
    check(
        &Sample::of("foo:42|flag:true|pi:3.14159|off:FALSE"),
        &[
            ("foo = 42", T),
            ("foo = 42.0", T),
            ("42 = foo", T),
            ("foo <> 42", F),
            ("foo > 41 AND foo < 43", T),
            ("foo = '42'", T),
            ("foo = '42.0'", F),
            ("pi = 3.14159", T),
            ("flag = true", T),
            ("flag = FALSE", F),
            ("flag <> FALSE", T),
            ("TRUE = flag", T),
            ("flag = 'true'", T),
            ("off = FALSE", T),
            ("flag", T),
            ("NOT off", T),
            ("convert_string_expressions:foo = 42", T),
        ],
    );
}

#[test]
fn what_binds_closer_is_as_in_sql() {
    check(
        &Sample::of("one:1|two:2|three:3|yes:true|no:false"),
        &[
            ("one + two * three = 7", T),
            ("(one + two) * three = 9", T),
            ("-one + two = 1", T),
            ("three - two - one = 0", T),
            ("12 / three / two = 2", T),
            ("one + two > two AND two * two = 4", T),
            ("NOT one = 2", T),
            ("NOT one = 1 OR yes", T),
            ("NOT (one = 1 OR yes)", F),
            ("NOT yes AND no", F),
            ("NOT (yes AND no)", T),
            ("yes OR yes AND no", T),
            ("(yes OR yes) AND no", F),
            ("no AND no OR yes", T),
            ("one BETWEEN one AND two AND yes", T),
            ("one BETWEEN 0 + 1 AND two * two", T),
            ("NOT one BETWEEN 2 AND 3", T),
            ("NOT yes = FALSE", T),
        ],
    );
}

#[test]
fn only_like_types_compare() {
    check(
        &Sample::of("text:red|number:2"),
        &[
            ("'2' = 2", F),
            ("'2' <> 2", F),
            ("2 = 2.0", T),
            ("2 = '2'", F),
            ("TRUE = 1", F),
            ("'TRUE' = TRUE", F),
            ("TRUE = TRUE", T),
            ("TRUE <> FALSE", T),
            ("'a' = 'a'", T),
            ("'a' = 'A'", F),
            ("text = 5", F),
            ("text <> 5", F),
            ("text > 5", F),
            ("text <= 5", F),
            ("NOT text = 5", T),
            ("text = TRUE", F),
            ("text <> TRUE", F),
            ("text BETWEEN 1 AND 5", F),
            ("text NOT BETWEEN 1 AND 5", F),
        ],
    );
}

#[test]
fn between_includes_its_bounds() {
    check(
        &Sample::of("age:17|nineteen:19"),
        &[
            ("age BETWEEN 15 AND 19", T),
            ("age BETWEEN 17 AND 17", T),
            ("age BETWEEN 15 AND 17", T),
            ("age BETWEEN 18 AND 19", F),
            ("age BETWEEN 19 AND 15", F),
            ("age NOT BETWEEN 15 AND 19", F),
            ("age NOT BETWEEN 18 AND 19", T),
            ("age NOT BETWEEN 17 AND 19", F),
            ("age NOT BETWEEN 15 AND 17", F),
            ("age NOT BETWEEN 15 AND 16", T),
            ("age NOT BETWEEN 19 AND 15", T),
            ("age BETWEEN 15 AND nineteen", T),
            ("age + 2 BETWEEN nineteen AND nineteen", T),
            ("age BETWEEN -1 AND +16.5", F),
            ("missing BETWEEN 15 AND 19", U),
            ("missing NOT BETWEEN 15 AND 19", U),
            ("age BETWEEN missing AND 19", U),
            ("age BETWEEN missing AND 16", F),
            ("age NOT BETWEEN missing AND 16", T),
        ],
    );
}

#[test]
fn in_lists_strings() {
    check(
        &Sample::of("country:UK|name:James|number:5|empty:"),
        &[
            ("country IN ('UK', 'US', 'France')", T),
            ("country IN ('US')", F),
            ("country NOT IN ('UK', 'US')", F),
            ("country NOT IN ('US', 'France')", T),
            ("missing IN ('UK')", U),
            ("missing NOT IN ('UK')", U),
            ("name in ('Gromit', 'Bob', 'James')", T),
            ("name not in ('Gromit', 'Bob', 'Cheddar')", T),
            ("number IN ('5')", T),
            ("number IN ('5.0')", F),
            ("empty IN ('')", T),
            ("(country) IN ('UK')", T),
            ("country IN ('uk')", F),
            ("country IN ('it''s', 'UK', 'UK')", T),
        ],
    );
    check(
        &james(),
        &[("JMSPriority IN ('4')", F), ("JMSPriority NOT IN ('4')", F)],
    );
}

#[test]
fn null_makes_unknown() {
    check(
        &Sample::of("present:1|empty:"),
        &[
            ("missing = 1", U),
            ("missing <> 'x'", U),
            ("missing > 3", U),
            ("1 < missing", U),
            ("missing = missing", U),
            ("missing + 1 = 2", U),
            ("-missing = 1", U),
            ("missing LIKE 'a%'", U),
            ("missing NOT LIKE 'a%'", U),
            ("missing IS NULL", T),
            ("missing IS NOT NULL", F),
            ("present IS NULL", F),
            ("present IS NOT NULL", T),
            ("empty IS NULL", F),
            ("empty = ''", T),
            ("NOT missing = 1", U),
            ("NOT (missing = 1)", U),
            ("missing", U),
            ("NOT missing", U),
        ],
    );
}

#[test]
fn logic_has_three_values() {
    check(
        &Sample::of("t:true|f:false"),
        &[
            ("t AND t", T),
            ("t AND f", F),
            ("t AND u", U),
            ("f AND t", F),
            ("f AND f", F),
            ("f AND u", F),
            ("u AND t", U),
            ("u AND f", F),
            ("u AND u", U),
            ("t OR t", T),
            ("t OR f", T),
            ("t OR u", T),
            ("f OR t", T),
            ("f OR f", F),
            ("f OR u", U),
            ("u OR t", T),
            ("u OR f", U),
            ("u OR u", U),
            ("NOT t", F),
            ("NOT f", T),
            ("NOT u", U),
            ("NOT NOT u", U),
            ("NOT NOT t", T),
        ],
    );
    let typed = Sample::default().with(JmsHeader::Type, text("x"));
    check(
        &typed,
        &[
            ("JMSType = 'x' AND missing > 3", U),
            ("JMSType = 'x' OR missing > 3", T),
        ],
    );
}

#[test]
fn what_activemq_accepts_is_accepted() {
    check(
        &james(),
        &[
            ("version/2 = 1", T),
            ("rank/version = 61.5", T),
            ("rank / 3 > 100.0", F),
            ("rank / 3 > 100", F),
            ("quote = '''In God We Trust'''", T),
            ("name = 'James' and rank < 200", T),
            ("name = 'James' and rank > 200", F),
            ("name = 'Foo' and rank < 200", F),
            ("name = 'Foo' or rank < 200", T),
            ("unknown = 'Foo' and anotherUnknown < 200", U),
            ("unknown = 'Foo' or anotherUnknown < 200", U),
            ("(trueProp OR falseProp) AND trueProp", T),
            ("(trueProp OR falseProp) AND falseProp", F),
            ("rank + 2 = 125", T),
            ("125 = (rank + 2)", T),
            ("rank + version = 125", T),
            ("rank + 2 < 124", F),
            ("rank - version = 121", T),
            ("rank - 2 > 122", F),
            ("rank * version = 246", T),
            ("rank * 2 < 130", F),
            ("rank between 100 and 150", T),
            ("rank between 10 and 120", F),
            (
                "byteProp = 123 AND longProp = 123 AND floatProp = 123 AND doubleProp = 123",
                T,
            ),
            ("JMSType = 'selector-test'", T),
            ("JMSType = 'crap'", F),
            ("JMSMessageID = 'ID:a-1-1'", T),
            ("SessionserverId=1870414179", U),
            (
                "Command NOT IN ('MirrorLobbyRequest', 'MirrorLobbyReply')",
                U,
            ),
            ("1.0 < 1.1 AND -1.1 < 1.0", T),
            ("1.0E1 < 1.1E1 AND -1.1E1 < 1.0E1", T),
            ("1. < 1.1 AND 1.E1 < 1.1E1 AND -1.1E1 < 1.E1", T),
            (".1 < .5 AND -.5 < .1 AND .1E1 < .5E1", T),
            ("4E10 < 5E10 AND 5E8 < 5E10 AND -4E10 < 2E10", T),
            ("4E+10 < 5E+10 AND 4E-10 < 5E-10", T),
            ("quote LIKE '''In G_d We Trust'''", T),
            ("quote LIKE '''In Gd_ We Trust'''", F),
            ("quote NOT LIKE '''In G_d We Trust'''", F),
            ("quote NOT LIKE '''In Gd_ We Trust'''", T),
            ("foo LIKE '%oo' AND foo NOT LIKE '%ar'", T),
            ("foo LIKE '!_%' ESCAPE '!'", T),
            ("quote LIKE '!_%' ESCAPE '!'", F),
            ("foo NOT LIKE '!_%' ESCAPE '!'", F),
            ("quote NOT LIKE '!_%' ESCAPE '!'", T),
            ("punctuation LIKE '!#$&()*+,-./;<=>?@[\\]^`{}~'", T),
            ("x = 1 and y = 2", U),
            ("((rank = 123) and (version = 2))", T),
        ],
    );
}

#[test]
fn activemqs_additions_are_there() {
    check(
        &Sample::of("a:7|content-type:text/plain|x-y:1|x:5|y:3"),
        &[
            ("a % 4 = 3", T),
            ("a = 0x7", T),
            ("a = 0X7", T),
            ("0xFF = 255", T),
            ("0xfFL = 255", T),
            ("010 = 8", T),
            ("00 = 0", T),
            ("017L = 15", T),
            ("a = 7L AND a = 7l", T),
            ("a /* the number */ = 7", T),
            ("a = 7 -- the number\n", T),
            ("a = -- the number\r\n 7", T),
            ("/**/ a = 7 /***/ /* * / */", T),
            ("hyphenated_props:content-type = 'text/plain'", T),
            ("hyphenated_props:x-y = 1", T),
            ("hyphenated_props:x - y = 2", T),
            ("x-y = 2", T),
            ("hyphenated_props:convert_string_expressions:x-y = 1", T),
            ("convert_string_expressions:hyphenated_props:x-y = 1", T),
        ],
    );
}

#[test]
fn like_is_about_strings() {
    check(
        &james().with(JmsHeader::Redelivered, HeaderValue::Boolean(false)),
        &[
            ("JMSPriority LIKE '4'", F),
            ("JMSPriority LIKE '%'", F),
            ("JMSPriority NOT LIKE '4'", F),
            ("JMSRedelivered LIKE 'f%'", F),
            ("rank LIKE '12_'", T),
        ],
    );
}

#[test]
fn an_empty_selector_is_none() {
    for text in [
        "",
        " ",
        "\t\r\n\x0C",
        "/* nothing */",
        "-- nothing\n",
        "convert_string_expressions:",
    ] {
        assert_eq!(Selector::parse(text), Ok(None), "{text:?}");
        assert_eq!(
            Selector::parse_header(text.as_bytes()),
            Ok(None),
            "{text:?}"
        );
    }
}
