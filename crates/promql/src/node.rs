//! The tree of an expression, checked and ready for evaluation.

use std::sync::Arc;

use regex::Regex;

use crate::matcher::{Matcher, Selector};
use crate::parse::Function;
use crate::value::Type;

/// What `@` fixes the time of a selector to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Anchor {
    Start,
    End,
    At(i64),
}

/// When a selector or a subquery looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct When {
    pub(crate) anchor: Option<Anchor>,
    pub(crate) offset_ms: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Select {
    pub(crate) matchers: Arc<[Matcher]>,
    pub(crate) when: When,
}

#[derive(Clone, Debug)]
pub(crate) struct Subquery {
    pub(crate) inner: Node,
    pub(crate) when: When,
    pub(crate) range_ms: i64,
    pub(crate) step_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    Unless,
}

impl Operator {
    pub(crate) fn is_comparison(self) -> bool {
        use Operator::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
    }

    pub(crate) fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

/// Which labels count: those listed (`by`, `on`), or all but those and the name (`without`, `ignoring`).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grouping {
    pub(crate) listed: bool,
    /// Sorted, each once.
    pub(crate) names: Arc<[String]>,
}

/// How many elements of each side of a binary operation may match.
#[derive(Clone, Debug)]
pub(crate) enum Cardinality {
    OneToOne,
    /// `group_left`, with the labels taken over from the right.
    ManyToOne(Vec<String>),
    /// `group_right`, with the labels taken over from the left.
    OneToMany(Vec<String>),
}

#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) operator: Operator,
    pub(crate) left: Node,
    pub(crate) right: Node,
    pub(crate) matching: Grouping,
    pub(crate) cardinality: Cardinality,
    /// Whether a comparison yields 0 or 1 (`bool`) in place of filtering.
    pub(crate) boolean: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregation {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    Quantile,
    CountValues,
}

#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    pub(crate) aggregation: Aggregation,
    pub(crate) inner: Node,
    pub(crate) parameter: Option<Node>,
    pub(crate) grouping: Grouping,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: &'static Function,
    pub(crate) arguments: Vec<Node>,
    /// The compiled pattern of `label_replace`.
    pub(crate) pattern: Option<Regex>,
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Number(f64),
    Text(String),
    Select(Select),
    Range(Select, i64),
    Subquery(Box<Subquery>),
    Negate(Box<Node>),
    Binary(Box<Binary>),
    Aggregate(Box<Aggregate>),
    Call(Box<Call>),
}

impl Node {
    pub(crate) fn value_type(&self) -> Type {
        match self {
            Self::Number(_) => Type::Scalar,
            Self::Text(_) => Type::String,
            Self::Select(_) | Self::Aggregate(_) => Type::Vector,
            Self::Range(..) | Self::Subquery(_) => Type::Matrix,
            Self::Negate(inner) => inner.value_type(),
            Self::Binary(binary) => match (binary.left.value_type(), binary.right.value_type()) {
                (Type::Scalar, Type::Scalar) => Type::Scalar,
                _ => Type::Vector,
            },
            Self::Call(call) => call.function.returns,
        }
    }

    fn children(&self) -> Vec<&Node> {
        match self {
            Self::Number(_) | Self::Text(_) | Self::Select(_) | Self::Range(..) => Vec::new(),
            Self::Subquery(subquery) => vec![&subquery.inner],
            Self::Negate(inner) => vec![inner],
            Self::Binary(binary) => vec![&binary.left, &binary.right],
            Self::Aggregate(aggregate) => aggregate.parameter.iter().chain([&aggregate.inner]).collect(),
            Self::Call(call) => call.arguments.iter().collect(),
        }
    }

    /// What is read below this node, given the ranges and offsets of the subqueries around it.
    pub(crate) fn selectors(&self, around: Around, found: &mut Vec<Selector>) {
        let selector = |select: &Select, range_ms: i64, instant: bool| Selector {
            matchers: select.matchers.to_vec(),
            range_ms: around.range_ms.saturating_add(range_ms),
            offset_ms: around.offset_ms.saturating_add(select.when.offset_ms),
            instant,
            pinned: around.pinned || select.when.is_pinned(),
        };
        match self {
            Self::Select(select) => found.push(selector(select, 0, true)),
            Self::Range(select, range_ms) => found.push(selector(select, *range_ms, false)),
            Self::Subquery(subquery) => {
                let around = Around {
                    range_ms: around.range_ms.saturating_add(subquery.range_ms),
                    offset_ms: around.offset_ms.saturating_add(subquery.when.offset_ms),
                    pinned: around.pinned || subquery.when.is_pinned(),
                };
                subquery.inner.selectors(around, found);
            }
            _ => self.children().into_iter().for_each(|child| child.selectors(around, found)),
        }
    }
}

impl When {
    fn is_pinned(&self) -> bool {
        matches!(self.anchor, Some(Anchor::At(_)))
    }
}

/// The subqueries around a selector, added up.
#[derive(Clone, Copy, Default)]
pub(crate) struct Around {
    range_ms: i64,
    offset_ms: i64,
    pinned: bool,
}
