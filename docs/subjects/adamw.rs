// AdamW as a subject of `refgrad judge`: rustc -O adamw.rs -o adamw; with --cfg sum the averages are sums, which is wrong.
use std::io::{self, BufRead, Write};

/// A hex float: 0x1.8p+0; nan and inf are written so.
fn hex(text: &str) -> f64 {
    if !text.contains('p') {
        return text.parse().unwrap();
    }
    let (sign, rest) = if let Some(rest) = text.strip_prefix('-') { (-1.0, rest) } else { (1.0, text) };
    let (digits, exponent) = rest.trim_start_matches("0x").split_once('p').unwrap();
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let bits = u64::from_str_radix(&format!("{whole}{fraction}"), 16).unwrap();
    let power: i32 = exponent.parse::<i32>().unwrap() - 4 * fraction.len() as i32;
    // in two steps, because two to the power of -1074 is subnormal
    sign * (bits as f64) * 2f64.powi(power / 2) * 2f64.powi(power - power / 2)
}

fn number(line: &str, name: &str) -> f64 {
    let key = format!("\"{name}\":\"");
    let at = line.find(&key).unwrap() + key.len();
    hex(&line[at..at + line[at..].find('"').unwrap()])
}

fn array(line: &str, name: &str) -> (Vec<f32>, String) {
    let key = format!("\"{name}\":{{\"shape\":[");
    let rest = &line[line.find(&key).unwrap() + key.len()..];
    let shape = rest[..rest.find(']').unwrap()].to_string();
    let data = &rest[rest.find("\"data\":[").unwrap() + 8..];
    let data = &data[..data.find(']').unwrap()];
    let values = data.split(',').filter(|x| !x.is_empty()).map(|x| hex(x.trim_matches('"')) as f32);
    (values.collect(), shape)
}

/// Shortest decimals read back to the same number; what is none is a text.
fn text(name: &str, values: &[f32], shape: &str) -> String {
    let one = |x: &f32| if x.is_finite() { format!("{:?}", *x as f64) } else { format!("\"{x}\"") };
    let data: Vec<String> = values.iter().map(one).collect();
    format!("\"{name}\":{{\"shape\":[{shape}],\"data\":[{}]}}", data.join(","))
}

fn main() {
    let mut out = io::stdout();
    for line in io::stdin().lock().lines().map(Result::unwrap) {
        if line.contains("\"ask\":\"hello\"") {
            println!(concat!(
                r#"{{"refgrad":1,"name":"adamw.rs","rules":["AdamW"],"dtypes":["float32"],"gives":["p","m","v"],"#,
                r#""takes":["p","g","m","v","t","lr","beta1","beta2","eps","weight_decay"]}}"#
            ));
            out.flush().unwrap();
            continue;
        }
        let ((mut p, shape), (g, _), (mut m, _), (mut v, _)) =
            (array(&line, "p"), array(&line, "g"), array(&line, "m"), array(&line, "v"));
        let (t, beta1, beta2) = (number(&line, "t"), number(&line, "beta1"), number(&line, "beta2"));
        let (lr, eps, decay) = (number(&line, "lr") as f32, number(&line, "eps") as f32, number(&line, "weight_decay") as f32);
        let (c1, c2) = ((1.0 - beta1.powf(t)) as f32, (1.0 - beta2.powf(t)) as f32);
        let w1 = if cfg!(sum) { 1.0 } else { (1.0 - beta1) as f32 };
        let w2 = (1.0 - beta2) as f32;
        for i in 0..p.len() {
            m[i] = beta1 as f32 * m[i] + w1 * g[i];
            v[i] = beta2 as f32 * v[i] + w2 * g[i] * g[i];
            p[i] -= lr * (m[i] / c1 / ((v[i] / c2).sqrt() + eps) + decay * p[i]);
        }
        let at = line.find("\"id\":").unwrap() + 5;
        let id: String = line[at..].chars().take_while(char::is_ascii_digit).collect();
        let arrays = [text("p", &p, &shape), text("m", &m, &shape), text("v", &v, &shape)].join(",");
        println!("{{\"id\":{id},\"arrays\":{{{arrays}}}}}");
        out.flush().unwrap();
    }
}
