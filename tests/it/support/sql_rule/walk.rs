//! Walks through a parsed statement, one level of `FROM` and `WHERE` after the other.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, FromTable, JoinConstraint, JoinOperator, Query, SetExpr, Statement, TableFactor,
    TableWithJoins, UpdateTableFromKind, Value, Visit, Visitor,
};

/// A column with the alias of its table.
type Column = (String, String);

/// Checks a statement. The error says which table does not have its organisation named.
pub fn check_statement(statement: &Statement, tables: &BTreeMap<&str, bool>) -> Result<(), String> {
    Walk { tables }.statement(statement)
}

/// The subqueries of a node, without those within them.
fn direct_subqueries(node: &impl Visit) -> Vec<Query> {
    #[derive(Default)]
    struct Collector {
        depth: usize,
        queries: Vec<Query>,
    }
    impl Visitor for Collector {
        type Break = ();

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            if self.depth == 0 {
                self.queries.push(query.clone());
            }
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
    }
    let mut collector = Collector::default();
    let _ = node.visit(&mut collector); // the collector never breaks
    collector.queries
}

struct Walk<'w> {
    /// The tables of the schema, and whether they have rows of organisations.
    tables: &'w BTreeMap<&'w str, bool>,
}

impl Walk<'_> {
    fn statement(&self, statement: &Statement) -> Result<(), String> {
        match statement {
            Statement::Query(query) => self.query(query),
            Statement::Insert(insert) => {
                direct_subqueries(insert).iter().try_for_each(|query| self.query(query))
            }
            Statement::Update(update) => {
                let mut tables = vec![&update.table];
                if let Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) =
                    &update.from
                {
                    tables.extend(from);
                }
                self.level(&tables, update.selection.as_ref(), update)
            }
            Statement::Delete(delete) => {
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
                let tables: Vec<_> = from.iter().chain(delete.using.iter().flatten()).collect();
                self.level(&tables, delete.selection.as_ref(), delete)
            }
            _ => Ok(()), // settings, transactions, definitions
        }
    }

    fn query(&self, query: &Query) -> Result<(), String> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.query(&cte.query)?;
        }
        self.set(&query.body)?;
        direct_subqueries(&query.order_by).iter().try_for_each(|query| self.query(query))
    }

    fn set(&self, set: &SetExpr) -> Result<(), String> {
        match set {
            SetExpr::Select(select) => {
                let tables: Vec<_> = select.from.iter().collect();
                self.level(&tables, select.selection.as_ref(), select.as_ref())
            }
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, right, .. } => {
                self.set(left)?;
                self.set(right)
            }
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => self.statement(statement),
            SetExpr::Values(values) => {
                direct_subqueries(values).iter().try_for_each(|query| self.query(query))
            }
            SetExpr::Table(_) => Err("TABLE names no organisation".to_owned()),
        }
    }

    /// Checks the tables of one `FROM` with their conditions, and then the subqueries of the node.
    fn level(
        &self,
        tables: &[&TableWithJoins],
        selection: Option<&Expr>,
        node: &impl Visit,
    ) -> Result<(), String> {
        let mut level = Level::default();
        for table in tables {
            level.add_table(&table.relation);
            for join in &table.joins {
                level.add_table(&join.relation);
            }
        }
        // Other names are those of a `WITH`.
        level.tables.retain(|(_, table)| self.tables.contains_key(table.as_str()));
        let is_distributed = |table: &str| self.tables.get(table) == Some(&true);
        let distributed: Vec<_> =
            level.tables.iter().filter(|(_, table)| is_distributed(table)).cloned().collect();
        level.only_table = match distributed.as_slice() {
            [(alias, _)] => Some(alias.clone()),
            _ => level.tables.first().filter(|_| level.tables.len() == 1).map(|(alias, _)| alias.clone()),
        };
        let conditions =
            tables.iter().flat_map(|table| &table.joins).filter_map(|join| on(&join.join_operator));
        for condition in conditions.chain(selection) {
            level.add_condition(condition);
        }
        let fixed = level.fixed_columns();
        for (alias, table) in &distributed {
            if !fixed.contains(&(alias.clone(), "org".to_owned())) {
                return Err(format!("the table {table} ({alias}) does not have its organisation named"));
            }
        }
        direct_subqueries(node).iter().try_for_each(|query| self.query(query))
    }
}

/// The condition of a join.
fn on(join: &JoinOperator) -> Option<&Expr> {
    match join {
        JoinOperator::Join(JoinConstraint::On(on))
        | JoinOperator::Inner(JoinConstraint::On(on))
        | JoinOperator::Left(JoinConstraint::On(on))
        | JoinOperator::LeftOuter(JoinConstraint::On(on))
        | JoinOperator::CrossJoin(JoinConstraint::On(on)) => Some(on),
        _ => None,
    }
}

/// One side of an equation.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Value,
    Column(Column),
}

/// The tables of one `FROM` and the equations of its conditions.
#[derive(Default)]
struct Level {
    /// The alias and the name of each table.
    tables: Vec<(String, String)>,
    /// The table of columns without an alias.
    only_table: Option<String>,
    equations: Vec<(Term, Term)>,
}

impl Level {
    fn add_table(&mut self, factor: &TableFactor) {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let name = name.to_string();
                let alias = alias.as_ref().map_or_else(|| name.clone(), |alias| alias.name.value.clone());
                self.tables.push((alias, name));
            }
            TableFactor::NestedJoin { table_with_joins, .. } => {
                self.add_table(&table_with_joins.relation);
                for join in &table_with_joins.joins {
                    self.add_table(&join.relation);
                    if let Some(condition) = on(&join.join_operator) {
                        self.add_condition(condition);
                    }
                }
            }
            _ => {}
        }
    }

    /// Adds the equations that have to hold for the condition.
    fn add_condition(&mut self, condition: &Expr) {
        match condition {
            Expr::Nested(inner) => self.add_condition(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.add_condition(left);
                self.add_condition(right);
            }
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                if let (Some(left), Some(right)) = (self.term(left), self.term(right)) {
                    self.equations.push((left, right));
                }
            }
            _ => {}
        }
    }

    fn term(&self, side: &Expr) -> Option<Term> {
        match side {
            Expr::Nested(inner) => self.term(inner),
            Expr::Cast { expr, .. } => self.term(expr).filter(|term| *term == Term::Value),
            Expr::Value(value) => {
                matches!(value.value, Value::Placeholder(_) | Value::Number(..)).then_some(Term::Value)
            }
            Expr::Identifier(column) => {
                let alias = self.only_table.clone()?;
                Some(Term::Column((alias, column.value.clone())))
            }
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [alias, column] => Some(Term::Column((alias.value.clone(), column.value.clone()))),
                _ => None,
            },
            _ => None,
        }
    }

    /// The columns that are equal to a value, through any number of equations of this level. A column of a query around this
    /// one, of a subquery or of a name of a `WITH` is no value.
    fn fixed_columns(&self) -> HashSet<Column> {
        let mut fixed: HashSet<Column> = HashSet::new();
        loop {
            let before = fixed.len();
            for (left, right) in &self.equations {
                let is_fixed = |term: &Term| match term {
                    Term::Value => true,
                    Term::Column(column) => fixed.contains(column),
                };
                let (left_fixed, right_fixed) = (is_fixed(left), is_fixed(right));
                for (term, other_is_fixed) in [(left, right_fixed), (right, left_fixed)] {
                    if let (Term::Column(column), true) = (term, other_is_fixed) {
                        fixed.insert(column.clone());
                    }
                }
            }
            if fixed.len() == before {
                return fixed;
            }
        }
    }
}
