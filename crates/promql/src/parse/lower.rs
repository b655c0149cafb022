//! The parser's tree, checked by Prometheus's rules and lowered to ours.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use promql_parser::label::{MatchOp, Matchers};
use promql_parser::parser::token;
use promql_parser::parser::{
    AggregateExpr, AtModifier, BinaryExpr, Expr, LabelModifier, Offset, SubqueryExpr, VectorMatchCardinality,
    VectorSelector,
};

use super::guard::Guarded;
use super::table::Function;
use crate::functions::Kind;
use crate::labels::METRIC_NAME;
use crate::matcher::{Matcher, Op, anchored};
use crate::node::{
    Aggregate, Aggregation, Anchor, Binary, Call, Cardinality, Grouping, Node, Operator, Select, Subquery,
    When,
};
use crate::refused::Refused;
use crate::value::Type;

pub(super) fn lower(tree: &Expr, guarded: &Guarded) -> Result<Node, Refused> {
    Lowering { guarded }.node(tree)
}

struct Lowering<'g> {
    guarded: &'g Guarded,
}

impl Lowering<'_> {
    fn node(&self, tree: &Expr) -> Result<Node, Refused> {
        Ok(match tree {
            Expr::Paren(paren) => self.node(&paren.expr)?,
            Expr::NumberLiteral(number) => Node::Number(self.number(number.val)?),
            Expr::StringLiteral(text) => Node::Text(self.guarded.string(&text.val).to_owned()),
            Expr::VectorSelector(selector) => Node::Select(self.select(selector)?),
            Expr::MatrixSelector(range) => Node::Range(self.select(&range.vs)?, self.duration(range.range)?),
            Expr::Subquery(subquery) => self.subquery(subquery)?,
            Expr::Unary(unary) => {
                let inner = self.node(&unary.expr)?;
                expect_number("unary expression", &inner)?;
                Node::Negate(Box::new(inner))
            }
            Expr::Binary(binary) => self.binary(binary)?,
            Expr::Aggregate(aggregate) => self.aggregate(aggregate)?,
            Expr::Call(call) => {
                self.call(call.func.name, call.args.args.iter().map(|argument| argument.as_ref()))?
            }
            Expr::Extension(_) => return Err(Refused::unsupported("an extension of the parser")),
        })
    }

    /// A number behind a placeholder, into which the parser may have folded a sign.
    fn number(&self, placeholder: f64) -> Result<f64, Refused> {
        let number = self.guarded.number(placeholder.abs()).ok_or_else(|| lost("number"))?;
        Ok(if placeholder < 0.0 { -number } else { number })
    }

    fn duration(&self, placeholder: Duration) -> Result<i64, Refused> {
        let seconds = self.number(placeholder.as_secs_f64())?;
        Ok((seconds * 1000.0).round() as i64)
    }

    fn when(&self, at: &Option<AtModifier>, offset: &Option<Offset>) -> Result<When, Refused> {
        let anchor = match at {
            None => None,
            Some(AtModifier::Start) => Some(Anchor::Start),
            Some(AtModifier::End) => Some(Anchor::End),
            Some(AtModifier::At(time)) => {
                let placeholder = match time.duration_since(SystemTime::UNIX_EPOCH) {
                    Ok(after) => after.as_secs_f64(),
                    Err(before) => -before.duration().as_secs_f64(),
                };
                let seconds = self.number(placeholder)?;
                if !seconds.is_finite() || seconds.abs() > 9e15 {
                    return Err(Refused::invalid(format!(
                        "timestamp out of bounds for @ modifier: {seconds}"
                    )));
                }
                Some(Anchor::At((seconds * 1000.0).round() as i64))
            }
        };
        let offset_ms = match offset {
            None => 0,
            Some(Offset::Pos(offset)) => self.duration(*offset)?,
            Some(Offset::Neg(offset)) => -self.duration(*offset)?,
        };
        Ok(When { anchor, offset_ms })
    }

    fn select(&self, selector: &VectorSelector) -> Result<Select, Refused> {
        let mut matchers = self.matchers(&selector.matchers)?;
        match &selector.name {
            Some(name) => {
                if matchers.iter().any(|matcher| matcher.name == METRIC_NAME) {
                    return Err(Refused::invalid(format!("metric name must not be set twice: {name:?}")));
                }
                matchers.push(Matcher::equal(METRIC_NAME, name));
            }
            None if matchers.iter().all(|matcher| matcher.accepts("")) => {
                return Err(Refused::invalid("vector selector must contain at least one non-empty matcher"));
            }
            None => {}
        }
        let when = self.when(&selector.at, &selector.offset)?;
        Ok(Select { matchers: matchers.into(), when })
    }

    fn matchers(&self, matchers: &Matchers) -> Result<Vec<Matcher>, Refused> {
        if !matchers.or_matchers.is_empty() {
            return Err(Refused::invalid("\"or\" between label matchers is not PromQL"));
        }
        let lowered = matchers.matchers.iter().map(|matcher| {
            let value = self.guarded.string(&matcher.value).to_owned();
            let op = match matcher.op {
                MatchOp::Equal => Op::Equal,
                MatchOp::NotEqual => Op::NotEqual,
                MatchOp::Re(_) => Op::Matches(anchored(&value)?),
                MatchOp::NotRe(_) => Op::NotMatches(anchored(&value)?),
            };
            let name = self.guarded.string(&matcher.name).to_owned();
            if name.is_empty() {
                return Err(Refused::invalid("an empty label name"));
            }
            Ok(Matcher { name, op, value })
        });
        lowered.collect()
    }

    fn subquery(&self, subquery: &SubqueryExpr) -> Result<Node, Refused> {
        let inner = self.node(&subquery.expr)?;
        if inner.value_type() != Type::Vector {
            let got = inner.value_type().as_str();
            return Err(Refused::invalid(format!(
                "subquery is only allowed on instant vector, got {got} instead"
            )));
        }
        let step_ms = subquery.step.map(|step| self.duration(step)).transpose()?;
        if step_ms == Some(0) {
            return Err(Refused::invalid("a subquery needs a step of at least a millisecond"));
        }
        let when = self.when(&subquery.at, &subquery.offset)?;
        let range_ms = self.duration(subquery.range)?;
        Ok(Node::Subquery(Box::new(Subquery { inner, when, range_ms, step_ms })))
    }

    fn binary(&self, binary: &BinaryExpr) -> Result<Node, Refused> {
        let operator = operator(binary)?;
        let (left, right) = (self.node(&binary.lhs)?, self.node(&binary.rhs)?);
        expect_number("binary expression", &left)?;
        expect_number("binary expression", &right)?;
        let scalar = |node: &Node| node.value_type() == Type::Scalar;
        let vectors = !scalar(&left) && !scalar(&right);
        let modifier = binary.modifier.as_ref();
        let boolean = modifier.is_some_and(|modifier| modifier.return_bool);
        if boolean && !operator.is_comparison() {
            return Err(Refused::invalid("bool modifier can only be used on comparison operators"));
        }
        if operator.is_comparison() && !boolean && scalar(&left) && scalar(&right) {
            return Err(Refused::invalid("comparisons between scalars must use BOOL modifier"));
        }
        if operator.is_set() && !vectors {
            return Err(Refused::invalid("set operators are only allowed between instant vectors"));
        }
        if modifier
            .is_some_and(|modifier| modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some())
        {
            return Err(Refused::unsupported("fill modifiers are experimental"));
        }
        let matching = self.grouping(modifier.and_then(|modifier| modifier.matching.as_ref()), false);
        let included = |labels: &promql_parser::label::Labels| {
            labels.labels.iter().map(|name| self.guarded.string(name).to_owned()).collect::<Vec<_>>()
        };
        let cardinality = match modifier.map(|modifier| &modifier.card) {
            Some(VectorMatchCardinality::ManyToOne(labels)) => Cardinality::ManyToOne(included(labels)),
            Some(VectorMatchCardinality::OneToMany(labels)) => Cardinality::OneToMany(included(labels)),
            _ => Cardinality::OneToOne,
        };
        if let Cardinality::ManyToOne(include) | Cardinality::OneToMany(include) = &cardinality {
            if operator.is_set() {
                return Err(Refused::invalid("no grouping allowed for set operations"));
            }
            if let Some(name) = include.iter().find(|name| matching.listed && matching.names.contains(name)) {
                return Err(Refused::invalid(format!(
                    "label {name:?} must not occur in ON and GROUP clause at once"
                )));
            }
        }
        if !vectors && !matching.names.is_empty() {
            return Err(Refused::invalid("vector matching only allowed between instant vectors"));
        }
        Ok(Node::Binary(Box::new(Binary { operator, left, right, matching, cardinality, boolean })))
    }

    fn grouping(&self, modifier: Option<&LabelModifier>, listed_by_default: bool) -> Grouping {
        let (listed, labels) = match modifier {
            Some(LabelModifier::Include(labels)) => (true, labels.labels.as_slice()),
            Some(LabelModifier::Exclude(labels)) => (false, labels.labels.as_slice()),
            None => (listed_by_default, &[][..]),
        };
        let names: BTreeSet<String> =
            labels.iter().map(|name| self.guarded.string(name).to_owned()).collect();
        Grouping { listed, names: names.into_iter().collect::<Arc<[_]>>() }
    }

    fn aggregate(&self, aggregate: &AggregateExpr) -> Result<Node, Refused> {
        let aggregation = aggregation(aggregate)?;
        let inner = self.node(&aggregate.expr)?;
        expect("aggregation expression", Type::Vector, &inner)?;
        let parameter = aggregate.param.as_ref().map(|parameter| self.node(parameter)).transpose()?;
        let wanted = match aggregation {
            Aggregation::Topk | Aggregation::Bottomk | Aggregation::Quantile => Some(Type::Scalar),
            Aggregation::CountValues => Some(Type::String),
            _ => None,
        };
        match (wanted, &parameter) {
            (Some(wanted), Some(parameter)) => expect("aggregation parameter", wanted, parameter)?,
            (None, None) => {}
            _ => return Err(Refused::invalid("wrong number of arguments for aggregate expression")),
        }
        if let (Aggregation::CountValues, Some(Node::Text(label))) = (aggregation, &parameter)
            && label.is_empty()
        {
            return Err(Refused::invalid("invalid label name \"\""));
        }
        let grouping = self.grouping(aggregate.modifier.as_ref(), true);
        Ok(Node::Aggregate(Box::new(Aggregate { aggregation, inner, parameter, grouping })))
    }

    fn call<'t>(&self, name: &str, arguments: impl Iterator<Item = &'t Expr>) -> Result<Node, Refused> {
        let Some(function) = Function::find(name) else {
            return Err(if Function::is_left_out(name) {
                Refused::unsupported(format!("{name}() is experimental, or about native histograms"))
            } else {
                Refused::unsupported(format!("unknown function {name}()"))
            });
        };
        let arguments = arguments.map(|argument| self.node(argument)).collect::<Result<Vec<_>, _>>()?;
        let most = if function.repeated { usize::MAX } else { function.arguments.len() };
        // A repeated argument may also be missing altogether.
        let least = function.arguments.len() - function.optional - usize::from(function.repeated);
        if arguments.len() < least || arguments.len() > most {
            let got = arguments.len();
            return Err(Refused::invalid(format!(
                "expected {least} argument(s) in call to {name:?}, got {got}"
            )));
        }
        for (index, argument) in arguments.iter().enumerate() {
            let Some(wanted) = function.arguments.get(index).or(function.arguments.last()) else { continue };
            expect(&format!("call to function {name:?}"), *wanted, argument)?;
        }
        let text = |index: usize| match arguments.get(index) {
            Some(Node::Text(text)) => text.as_str(),
            _ => "",
        };
        let pattern = match function.kind {
            Kind::LabelReplace => Some(anchored(text(4))?),
            _ => None,
        };
        if matches!(function.kind, Kind::LabelReplace | Kind::LabelJoin) && text(1).is_empty() {
            return Err(Refused::invalid(format!("invalid destination label name in {name}(): \"\"")));
        }
        Ok(Node::Call(Box::new(Call { function, arguments, pattern })))
    }
}

fn lost(what: &str) -> Refused {
    Refused::unsupported(format!("the parser loses a {what} of this expression"))
}

fn expect(place: &str, wanted: Type, node: &Node) -> Result<(), Refused> {
    if node.value_type() == wanted {
        return Ok(());
    }
    let (wanted, got) = (wanted.as_str(), node.value_type().as_str());
    Err(Refused::invalid(format!("expected type {wanted} in {place}, got {got}")))
}

fn expect_number(place: &str, node: &Node) -> Result<(), Refused> {
    match node.value_type() {
        Type::Scalar | Type::Vector => Ok(()),
        got => Err(Refused::invalid(format!(
            "{place} must contain only scalar and instant vector types, got {}",
            got.as_str()
        ))),
    }
}

fn operator(binary: &BinaryExpr) -> Result<Operator, Refused> {
    Ok(match binary.op.id() {
        token::T_ADD => Operator::Add,
        token::T_SUB => Operator::Sub,
        token::T_MUL => Operator::Mul,
        token::T_DIV => Operator::Div,
        token::T_MOD => Operator::Mod,
        token::T_POW => Operator::Pow,
        token::T_ATAN2 => Operator::Atan2,
        token::T_EQLC => Operator::Equal,
        token::T_NEQ => Operator::NotEqual,
        token::T_LSS => Operator::Less,
        token::T_LTE => Operator::LessEqual,
        token::T_GTR => Operator::Greater,
        token::T_GTE => Operator::GreaterEqual,
        token::T_LAND => Operator::And,
        token::T_LOR => Operator::Or,
        token::T_LUNLESS => Operator::Unless,
        _ => return Err(Refused::unsupported(format!("operator {}", binary.op))),
    })
}

fn aggregation(aggregate: &AggregateExpr) -> Result<Aggregation, Refused> {
    Ok(match aggregate.op.id() {
        token::T_SUM => Aggregation::Sum,
        token::T_AVG => Aggregation::Avg,
        token::T_COUNT => Aggregation::Count,
        token::T_MIN => Aggregation::Min,
        token::T_MAX => Aggregation::Max,
        token::T_GROUP => Aggregation::Group,
        token::T_STDDEV => Aggregation::Stddev,
        token::T_STDVAR => Aggregation::Stdvar,
        token::T_TOPK => Aggregation::Topk,
        token::T_BOTTOMK => Aggregation::Bottomk,
        token::T_QUANTILE => Aggregation::Quantile,
        token::T_COUNT_VALUES => Aggregation::CountValues,
        _ => return Err(Refused::unsupported(format!("aggregation {} is experimental", aggregate.op))),
    })
}
