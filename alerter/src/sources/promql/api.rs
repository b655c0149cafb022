//! Prometheus's HTTP API for instant queries: `POST /api/v1/query`, answers bounded in size and time.

use std::{fmt, path::Path, time::Duration};

use bytes::BytesMut;
use daemon::{Fatal, config};
use promql::{Labels, Sample};
use reqwest::{Certificate, Client, Identity, StatusCode, Url, header, redirect};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::PromqlConfig;
use crate::evidence::{Login, why};

/// 100,000 alerts have 40 MB; more than this is no answer to a rule.
const MAX_BYTES: usize = 512 << 20;
/// How much of a server's own words is shown.
const MAX_REASON: usize = 200;
/// How long connecting may take, in real time.
const CONNECT: Duration = Duration::from_secs(5);

/// Why there is no answer. Says neither address nor secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskError {
    #[error("no answer: {0}")]
    NoAnswer(&'static str),
    #[error("answered {0}")]
    Status(u16),
    #[error("the answer is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the answer is not one of Prometheus's query API")]
    Unreadable,
    /// The server's own words, cut.
    #[error("{kind}: {reason}")]
    Refused { kind: String, reason: String },
    #[error("the result is no instant vector of floats")]
    OtherResult,
}

/// A result.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(super) samples: Vec<Sample>,
    /// Nothing is missing, as far as the server knows.
    pub(super) complete: bool,
}

/// One server.
pub(crate) struct Api {
    client: Client,
    url: Url,
    login: Login,
    tenant: Option<(header::HeaderName, header::HeaderValue)>,
    parameters: Vec<(String, String)>,
    timeout: String,
}

impl Api {
    pub(crate) fn new(settings: &PromqlConfig, file: Option<&Path>) -> Result<Self, Fatal> {
        let key = |name: &str| format!("sources.promql {:?}: {name}", settings.name);
        let wrong = |name: &str, why: &str| Fatal::settings(format!("{}: {why}", key(name)));
        let mut url = Url::parse(&settings.url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
            .ok_or_else(|| wrong("url", "write it as http://127.0.0.1:9090"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("url", "takes no password; use username and password_file"));
        }
        url.set_path(&format!("{}/api/v1/", url.path().trim_end_matches('/')));
        let login =
            Login::read(key, file, &settings.bearer_token_file, &settings.username, &settings.password_file)?;
        let tenant = match &settings.tenant {
            None => None,
            Some(tenant) => Some((
                settings
                    .tenant_header
                    .parse()
                    .map_err(|_| wrong("tenant_header", "is no name of a header"))?,
                tenant.parse().map_err(|_| wrong("tenant", "is no value of a header"))?,
            )),
        };
        const OURS: [&str; 3] = ["query", "time", "timeout"];
        if let Some(name) = settings.parameters.keys().find(|name| OURS.contains(&name.as_str())) {
            return Err(wrong("parameters", &format!("{name} is set by the source itself")));
        }
        Ok(Self {
            client: client(settings, file, &wrong)?,
            url,
            login,
            tenant,
            parameters: settings.parameters.clone().into_iter().collect(),
            timeout: format!("{}ms", settings.timeout.0.as_millis()),
        })
    }

    /// The value of an expression at a time (milliseconds).
    pub(super) async fn ask(&self, expression: &str, at_ms: i64) -> Result<Answer, AskError> {
        self.post("query", vec![("query", expression), ("time", &seconds(at_ms))], read).await
    }

    /// The values of an expression at each step (milliseconds) of a time.
    pub(crate) async fn range(
        &self,
        expression: &str,
        from_ms: i64,
        to_ms: i64,
        step_ms: i64,
    ) -> Result<Range, AskError> {
        let (start, end, step) = (seconds(from_ms), seconds(to_ms), seconds(step_ms));
        let form = vec![("query", expression), ("start", &start), ("end", &end), ("step", &step)];
        self.post("query_range", form, read_range).await
    }

    async fn post<T: Send + 'static>(
        &self,
        what: &str,
        mut form: Vec<(&str, &str)>,
        read: fn(StatusCode, &[u8]) -> Result<T, AskError>,
    ) -> Result<T, AskError> {
        form.push(("timeout", &self.timeout));
        form.extend(self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let url = self.url.join(what).map_err(|_| AskError::NoAnswer("the address is none"))?;
        let mut request = self.login.sign(self.client.post(url).form(&form));
        if let Some((name, value)) = &self.tenant {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(|error| AskError::NoAnswer(why(&error)))?;
        let status = response.status();
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| AskError::NoAnswer(why(&error)))? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(AskError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        // A large answer is work for a processor, not for the tasks that wait on sockets.
        tokio::task::spawn_blocking(move || read(status, &body)).await.unwrap_or(Err(AskError::Unreadable))
    }
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

fn client(
    settings: &PromqlConfig,
    file: Option<&Path>,
    wrong: &dyn Fn(&str, &str) -> Fatal,
) -> Result<Client, Fatal> {
    // Whoever installed a provider first wins; both are the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let pem = |key: &str, path: &Path| {
        std::fs::read(config::relative_to(file, path))
            .map_err(|error| wrong(key, &format!("{}: {error}", path.display())))
    };
    // No redirects, which would carry the token elsewhere.
    let mut builder = Client::builder()
        .connect_timeout(CONNECT.min(settings.timeout.0))
        .timeout(settings.timeout.0)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("basiq-alerter/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &settings.ca_file {
        let certificates = Certificate::from_pem_bundle(&pem("ca_file", path)?).unwrap_or_default();
        if certificates.is_empty() {
            return Err(wrong("ca_file", "is not a PEM file of certificates"));
        }
        builder = certificates.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
    }
    match (&settings.cert_file, &settings.key_file) {
        (None, None) => {}
        (Some(certificate), Some(key)) => {
            let mut both = pem("key_file", key)?;
            both.push(b'\n');
            both.extend(pem("cert_file", certificate)?);
            let identity = Identity::from_pem(&both)
                .map_err(|_| wrong("cert_file", "and key_file are not a certificate and its key in PEM"))?;
            builder = builder.identity(identity);
        }
        _ => return Err(wrong("cert_file", "and key_file belong together")),
    }
    builder.build().map_err(|_| wrong("ca_file", "TLS cannot be set up with these certificates"))
}

fn said(status: StatusCode, body: &[u8]) -> Result<(Data, bool), AskError> {
    let Ok(said) = serde_json::from_slice::<Said<'_>>(body) else {
        return Err(if status.is_success() {
            AskError::Unreadable
        } else {
            AskError::Status(status.as_u16())
        });
    };
    if said.status != "success" {
        let cut = |text: &str| text.chars().take(MAX_REASON).filter(|c| !c.is_control()).collect();
        let kind = said.kind.as_deref().map_or_else(|| format!("answered {}", status.as_u16()), cut);
        return Err(AskError::Refused { kind, reason: said.error.as_deref().map(cut).unwrap_or_default() });
    }
    if !status.is_success() {
        return Err(AskError::Status(status.as_u16()));
    }
    let complete = said.warnings.is_none_or(|warnings| warnings.is_empty()) && !said.partial;
    Ok((said.data.ok_or(AskError::Unreadable)?, complete))
}

fn read(status: StatusCode, body: &[u8]) -> Result<Answer, AskError> {
    let (data, complete) = said(status, body)?;
    let samples = match data {
        Data::Vector(elements) => {
            elements.into_iter().map(Element::sample).collect::<Option<_>>().ok_or(AskError::OtherResult)?
        }
        Data::Scalar((_, value)) => {
            vec![Sample { labels: Labels::empty(), value: number(&value).ok_or(AskError::Unreadable)? }]
        }
        Data::Matrix(_) | Data::String(_) => return Err(AskError::OtherResult),
    };
    Ok(Answer { samples, complete })
}

/// The result of a range query.
pub(crate) struct Range {
    /// Labels, and values with their times in milliseconds.
    pub(crate) series: Vec<(Labels, Vec<(i64, f64)>)>,
    /// Nothing is missing, as far as the server knows.
    pub(crate) complete: bool,
}

fn read_range(status: StatusCode, body: &[u8]) -> Result<Range, AskError> {
    let (Data::Matrix(runs), complete) = said(status, body)? else { return Err(AskError::OtherResult) };
    let point = |(at, value): &(f64, String)| Some(((at * 1000.0).round() as i64, number(value)?));
    let series = |run: Run| {
        let points = run.values.iter().map(point).collect::<Option<_>>()?;
        Some((Labels::new(run.metric.0), points))
    };
    let series = runs.into_iter().map(series).collect::<Option<_>>().ok_or(AskError::OtherResult)?;
    Ok(Range { series, complete })
}

#[derive(Deserialize)]
struct Said<'a> {
    status: &'a str,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default, rename = "errorType")]
    kind: Option<String>,
    #[serde(default)]
    error: Option<String>,
    /// What Thanos, Mimir and Prometheus say of parts that are missing or doubtful. `infos` say less.
    #[serde(default)]
    warnings: Option<Vec<IgnoredAny>>,
    /// VictoriaMetrics's word for it.
    #[serde(default, rename = "isPartial")]
    partial: bool,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Element>),
    Scalar((f64, String)),
    Matrix(Vec<Run>),
    String(IgnoredAny),
}

#[derive(Deserialize)]
struct Element {
    metric: Metric,
    /// Absent where the sample is a native histogram.
    #[serde(default)]
    value: Option<(f64, String)>,
}

#[derive(Deserialize)]
struct Run {
    metric: Metric,
    /// Absent where the samples are native histograms.
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl Element {
    fn sample(self) -> Option<Sample> {
        let value = number(&self.value?.1)?;
        Some(Sample { labels: Labels::new(self.metric.0), value })
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

struct Metric(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Metric;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metric, A::Error> {
                let mut pairs = Vec::with_capacity(8);
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Metric(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Result<Answer, AskError> {
        read(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    const VECTOR: &str = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a\"b"},"value":[1795356601.123,"+Inf"]},{"metric":{},"value":[1795356601.123,"NaN"]}]}MORE}"#;

    #[test]
    fn vectors_and_scalars_are_read() {
        let answer = of(200, &VECTOR.replace("MORE", "")).unwrap();
        assert!(answer.complete);
        let [one, other] = answer.samples.as_slice() else { panic!("{answer:?}") };
        assert_eq!((one.labels.get("job"), one.value), (Some("a\"b"), f64::INFINITY));
        assert!(other.labels.is_empty() && other.value.is_nan());
        let scalar = of(200, r#"{"status":"success","data":{"resultType":"scalar","result":[1,"-0.5"]}}"#);
        assert_eq!(scalar.unwrap().samples[0].value, -0.5);
        let more = r#","infos":["PromQL info: x"],"warnings":[],"isPartial":false"#;
        assert!(of(200, &VECTOR.replace("MORE", more)).unwrap().complete);
    }

    #[test]
    fn warnings_and_partial_results_are_not_complete() {
        for more in [r#","warnings":["store gateway 2: no answer"]"#, r#","isPartial":true"#] {
            assert!(!of(200, &VECTOR.replace("MORE", more)).unwrap().complete, "{more}");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error_that_quotes_little() {
        let refused =
            of(422, r#"{"status":"error","errorType":"execution","error":"found duplicate series"}"#);
        assert_eq!(refused.unwrap_err().to_string(), "execution: found duplicate series");
        assert_eq!(of(502, "<html>").unwrap_err(), AskError::Status(502));
        assert_eq!(of(200, "<html>").unwrap_err(), AskError::Unreadable);
        assert_eq!(of(200, r#"{"status":"success"}"#).unwrap_err(), AskError::Unreadable);
        let matrix =
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[]}]}}"#;
        assert_eq!(of(200, matrix).unwrap_err(), AskError::OtherResult);
        let histogram = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"1"}]}]}}"#;
        assert_eq!(of(200, histogram).unwrap_err(), AskError::OtherResult);
        let long = format!(r#"{{"status":"error","errorType":"x","error":"{}"}}"#, "é\\n".repeat(1000));
        assert!(of(400, &long).unwrap_err().to_string().len() < 500);
    }
}
