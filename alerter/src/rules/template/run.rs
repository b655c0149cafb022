//! Expands a template.

use std::{collections::BTreeMap, rc::Rc};

use super::{
    Data,
    functions::Function,
    gofmt,
    parser::{Base, Command, Node, Operand, Pipeline, ROOT_FIELDS},
};

/// Longer than any text that anybody reads.
const MAX_OUTPUT: usize = 256 * 1024;

/// A value of the template language.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A point in time in milliseconds, as `toTime` makes it.
    Time(i64),
    /// A duration in nanoseconds, as `toDuration` makes it.
    Duration(i64),
    Map(Rc<BTreeMap<String, Value>>),
    /// What Prometheus hands to the template.
    Root,
}

impl Value {
    /// Go's notion of truth: not empty, not zero.
    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Duration(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Time(_) | Self::Root => true,
        }
    }

    /// The name of its type in Go, for errors and `printf`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Time(_) => "*time.Time",
            Self::Duration(_) => "*time.Duration",
            Self::Map(_) => "map[string]string",
            Self::Root => "struct",
        }
    }

    /// As `fmt.Fprint` prints it.
    pub(super) fn print(&self) -> String {
        match self {
            Self::Nil => "<no value>".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => gofmt::float(*value),
            Self::Text(text) => text.clone(),
            Self::Time(at) => super::functions::time(*at),
            Self::Duration(nanos) => super::functions::duration(*nanos),
            Self::Map(map) => {
                let entries: Vec<_> = map.iter().map(|(k, v)| format!("{k}:{}", v.print())).collect();
                format!("map[{}]", entries.join(" "))
            }
            Self::Root => "{}".to_owned(),
        }
    }
}

enum Flow {
    On,
    Break,
    Continue,
}

struct Run<'a> {
    data: &'a Data<'a>,
    output: String,
    variables: Vec<(String, Value)>,
}

pub(super) fn run(body: &[Node], data: &Data<'_>) -> Result<String, String> {
    let variables = [("$", Value::Root)]
        .into_iter()
        .chain([
            ("$labels", root_field("Labels", data)),
            ("$externalLabels", root_field("ExternalLabels", data)),
            ("$externalURL", root_field("ExternalURL", data)),
            ("$value", root_field("Value", data)),
        ])
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let mut run = Run { data, output: String::new(), variables };
    run.nodes(body, &Value::Root)?;
    Ok(run.output)
}

fn root_field(name: &str, data: &Data<'_>) -> Value {
    let map = |labels: &BTreeMap<String, String>| {
        Value::Map(Rc::new(labels.iter().map(|(k, v)| (k.clone(), Value::Text(v.clone()))).collect()))
    };
    match name {
        "Labels" => map(data.labels),
        "ExternalLabels" => map(data.external_labels),
        "ExternalURL" => Value::Text(data.external_url.to_owned()),
        _ => Value::Float(data.value),
    }
}

impl Run<'_> {
    fn write(&mut self, text: &str) -> Result<(), String> {
        if self.output.len() + text.len() > MAX_OUTPUT {
            return Err(format!("longer than {MAX_OUTPUT} bytes"));
        }
        self.output.push_str(text);
        Ok(())
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, String> {
        for node in nodes {
            match node {
                Node::Text(text) => self.write(text)?,
                Node::Action(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if pipeline.variable.is_none() {
                        self.write(&value.print())?;
                    }
                }
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
                Node::Choice { with, branches, otherwise } => {
                    let scope = self.variables.len();
                    let mut chosen: &[Node] = otherwise;
                    let mut inner = dot.clone();
                    for (condition, body) in branches {
                        let value = self.pipeline(condition, dot)?;
                        if value.truth() {
                            chosen = body;
                            if *with {
                                inner = value;
                            }
                            break;
                        }
                    }
                    let flow = self.nodes(chosen, &inner)?;
                    self.variables.truncate(scope);
                    if !matches!(flow, Flow::On) {
                        return Ok(flow);
                    }
                }
                Node::Range { names, over, body, otherwise } => {
                    let flow = self.range(names, over, body, otherwise, dot)?;
                    if !matches!(flow, Flow::On) {
                        return Ok(flow);
                    }
                }
            }
        }
        Ok(Flow::On)
    }

    fn range(
        &mut self,
        names: &[String],
        over: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<Flow, String> {
        let items: Vec<(Value, Value)> = match self.pipeline(over, dot)? {
            Value::Map(map) => map.iter().map(|(k, v)| (Value::Text(k.clone()), v.clone())).collect(),
            Value::Nil => Vec::new(),
            other => return Err(format!("range can't iterate over {}", other.print())),
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (key, value) in items {
            let scope = self.variables.len();
            match names {
                [item] => self.variables.push((item.clone(), value.clone())),
                [index, item] => {
                    self.variables.push((index.clone(), key));
                    self.variables.push((item.clone(), value.clone()));
                }
                _ => {}
            }
            let flow = self.nodes(body, &value)?;
            self.variables.truncate(scope);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        match &pipeline.variable {
            Some((name, true)) => self.variables.push((name.clone(), value.clone())),
            Some((name, false)) => {
                if let Some(slot) = self.variables.iter_mut().rev().find(|(known, _)| known == name) {
                    slot.1 = value.clone();
                }
            }
            None => {}
        }
        Ok(value)
    }

    fn command(&mut self, command: &Command, dot: &Value, piped: Option<Value>) -> Result<Value, String> {
        let Some(function) = command.function else {
            return match command.operands.first() {
                Some(operand) => self.operand(operand, dot),
                None => Ok(Value::Nil),
            };
        };
        // `and` and `or` look no further than they must.
        if matches!(function.name, "and" | "or") {
            let stop = function.name == "or";
            let mut last = Value::Nil;
            for operand in &command.operands {
                last = self.operand(operand, dot)?;
                if last.truth() == stop {
                    return Ok(last);
                }
            }
            return Ok(piped.unwrap_or(last));
        }
        let mut arguments = Vec::with_capacity(command.operands.len() + 1);
        for operand in &command.operands {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(piped);
        self.call(function, &arguments)
    }

    fn call(&self, function: &Function, arguments: &[Value]) -> Result<Value, String> {
        (function.run)(arguments, self.data)
            .map_err(|error| format!("error calling {}: {error}", function.name))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        let mut value = match &operand.base {
            Base::Dot => dot.clone(),
            Base::Nil => Value::Nil,
            Base::Bool(value) => Value::Bool(*value),
            Base::Int(value) => Value::Int(*value),
            Base::Float(value) => Value::Float(*value),
            Base::Text(text) => Value::Text(text.clone()),
            Base::Variable(name) => self
                .variables
                .iter()
                .rev()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
                .ok_or_else(|| format!("undefined variable: {name}"))?,
            Base::Function(function) => self.call(function, &[])?,
            Base::Pipeline(pipeline) => self.pipeline(pipeline, dot)?,
        };
        for field in &operand.fields {
            value = match value {
                Value::Root if ROOT_FIELDS.contains(&&**field) => root_field(field, self.data),
                // Prometheus sets `missingkey=zero`: a label that is not there is empty.
                Value::Map(map) => map.get(field).cloned().unwrap_or_else(|| Value::Text(String::new())),
                other => return Err(format!("can't evaluate field {field} in type {}", other.kind())),
            };
        }
        Ok(value)
    }
}
