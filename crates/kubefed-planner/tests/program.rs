//! What `plan-replicas` answers to lines, flags and files.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::io::BufRead;

use clap::Parser;
use kubefed_planner::program::{Options, run};

/// Output, errors, and whether all went well.
fn answer(arguments: &str, lines: Option<&str>) -> (String, String, bool) {
    let arguments = ["plan-replicas"].into_iter().chain(arguments.split(' '));
    let options = Options::try_parse_from(arguments.filter(|word| !word.is_empty())).unwrap();
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut lines = lines.map(str::as_bytes);
    let lines = lines.as_mut().map(|lines| lines as &mut dyn BufRead);
    let done = run(&options, lines, &mut output, &mut errors);
    let mut errors = String::from_utf8(errors).unwrap();
    let well = done.unwrap_or_else(|error| {
        errors.push_str(&format!("{error:#}"));
        false
    });
    (String::from_utf8(output).unwrap(), errors, well)
}

const LINE: &str = r#"{"id":"x","more":[1],"total":9,"key":"k","clusters":["a","b","c"],"preferences":{"a":{"weight":2},"b":{"min":2}}}"#;

#[test]
fn lines_are_answered_and_otherwise_passed_on() {
    // By weight 0 a cluster gets its minimum only, also where the line does not name it.
    for (arguments, plan) in [
        ("", r#"{"a":7,"b":2,"c":0}"#),
        ("--strategy static", r#"{"a":7,"b":2,"c":0}"#),
        ("--strategy duplicate", r#"{"a":9,"b":2,"c":0}"#),
    ] {
        let (output, errors, well) = answer(arguments, Some(LINE));
        assert_eq!((errors.as_str(), well), ("", true));
        let member = |name: &str| {
            let line: serde_json::Value = serde_json::from_str(&output).unwrap();
            line[name].to_string()
        };
        assert_eq!(member("plan"), plan, "{arguments}");
        assert_eq!(
            [member("id"), member("more"), member("shape")],
            ["\"x\"", "[1]", "null"]
        );
    }
}

#[test]
fn answers_are_checked() {
    let right = LINE.replace("\"more\":[1]", r#""plan":{"a":7,"b":2,"c":0}"#);
    let wrong = right.replace('7', "6");
    let (output, _, well) = answer("--check", Some(&format!("{right}\n\n{wrong}\n")));
    assert!(!well);
    let lines: Vec<_> = output.lines().collect();
    assert!(lines[0].starts_with("line 3: "), "{output}");
    assert_eq!(lines[1..], ["1 passed, 1 failed"]);
    let (output, _, well) = answer("--check", Some(&right));
    assert_eq!((output.as_str(), well), ("1 passed, 0 failed\n", true));
}

#[test]
fn what_cannot_be_planned_is_named_and_the_rest_is_planned() {
    let cases = [
        (
            r#"{"total":-3,"clusters":["a"]}"#,
            "total: -3 is not between 0 and 4294967295",
        ),
        (
            r#"{"total":5,"clusters":["a"],"preferences":{"*":{"min":4,"max":3}}}"#,
            "cluster \"a\": minimum 4 is above maximum 3",
        ),
        (
            r#"{"total":5,"clusters":["a"],"preferences":{"a":{"weight":-1}}}"#,
            "cluster \"a\": weight is negative",
        ),
        (
            r#"{"total":5,"clusters":["a"],"capacity":{"a":-2}}"#,
            "cluster \"a\": capacity: -2 is not between 0 and 4294967295",
        ),
        (
            r#"{"total":5,"clusters":["a","a"]}"#,
            "a cluster is given twice",
        ),
        (
            "nonsense",
            "not such a line: expected ident at line 1 column 2",
        ),
    ];
    for (line, expected) in cases {
        let (output, errors, well) = answer("-s static", Some(&format!("{line}\n{LINE}\n")));
        let expected = format!("line 1: {expected}\nlines that could not be planned: 1");
        assert_eq!((errors, well), (expected, false));
        assert_eq!(output.lines().count(), 1);
    }
}

#[test]
fn a_table_says_why_and_what_would_give_more() {
    let (output, _, well) = answer(
        "-t 9 -c east -c west,weight=2,capacity=4 -c warm,weight=0,min=1 --explain",
        None,
    );
    assert!(well);
    let expected = "\
CLUSTER  REPLICAS  OVERFLOW  REASON
east            4         0  its share
                               one more with a total of 10, or a weight of 3
warm            1         0  weight 0: minimum 1 only
                               one more with a weight of 1
west            4         0  limited by capacity 4; 1 more would go here if there were room
                               one more with a capacity of 5
all 9 replicas are placed
";
    assert_eq!(output, expected);
    let (output, _, well) = answer("-t 9 -c east,max=1 -o json", None);
    assert!(!well);
    let answer: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(answer["clusters"][0]["reason"], "limited by maximum 1");
    let summary = "8 replicas are not placed: 1 cluster at maximum";
    assert_eq!(answer["summary"], summary);
}

#[test]
fn a_file_may_name_a_strategy_with_its_options() {
    let path = std::env::temp_dir().join(format!("plan-replicas-{}.yaml", std::process::id()));
    let text = "\
total: 10
key: shop/web
strategy:
  spread:
    level: region
    groups_max: 1
clusters:
  a1: {region: a, capacity: 20}
  a2: {region: a}
  b1: {region: b, capacity: 3}
";
    std::fs::write(&path, text).unwrap();
    let (output, errors, well) = answer(&format!("{} -o json", path.display()), None);
    let (told, _, _) = answer(&format!("{} -s kubefed -t 4 -o json", path.display()), None);
    std::fs::remove_file(&path).unwrap();
    assert_eq!((errors.as_str(), well), ("", true));
    let replicas = |output: &str| {
        let answer: serde_json::Value = serde_json::from_str(output).unwrap();
        let clusters = answer["clusters"].as_array().unwrap();
        let replicas = clusters.iter().map(|row| row["replicas"].as_u64().unwrap());
        replicas.collect::<Vec<_>>()
    };
    assert_eq!(replicas(&output), [5, 5, 0]);
    assert_eq!(replicas(&told).iter().sum::<u64>(), 4);
}

#[test]
fn bad_flags_are_errors() {
    let cases = [
        (
            "-t 1 -c a -s best",
            "no strategy \"best\"; there are kubefed, static",
        ),
        (
            "-t 1 -c a,wieght=2",
            "--cluster a,wieght=2: error: line 1 column 2: unknown field",
        ),
        ("-t 1 -c a -c a", "cluster \"a\" is given twice"),
        (
            "-t 1 -c a,min=3,max=2",
            "cluster \"a\": minimum 3 is above maximum 2",
        ),
        ("-t 1 -c a --moves few", "--moves: invalid digit"),
        ("missing.yaml", "missing.yaml: No such file"),
        (
            "",
            "give a file, --cluster, or JSON lines on the standard input; see --help",
        ),
    ];
    for (arguments, expected) in cases {
        let (_, errors, well) = answer(arguments, None);
        assert!(
            !well && errors.starts_with(expected),
            "{arguments}: {errors}"
        );
    }
}
