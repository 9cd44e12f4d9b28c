package grammar

import (
	"fmt"

	"github.com/antlr4-go/antlr/v4"
	"github.com/bytebase/parser/plsql"
	"github.com/bytebase/parser/tsql"
)

// position is a place in a statement, counted from 1.
type position struct{ line, column int }

func at(token antlr.Token) position { return position{token.GetLine(), token.GetColumn() + 1} }

// problem is an error in a statement.
type problem struct {
	position
	text string
}

func (p problem) String() string { return fmt.Sprintf("%d:%d: %s", p.line, p.column, p.text) }

// parser parses a statement of one dialect into its SELECTs. Anything else that a file must not hold is a problem, too.
type parser func(statement string) ([]*scope, []problem)

type errorListener struct {
	*antlr.DefaultErrorListener
	problems []problem
}

func (l *errorListener) SyntaxError(
	_ antlr.Recognizer, _ any, line, column int, text string, _ antlr.RecognitionException,
) {
	l.problems = append(l.problems, problem{position{line, column + 1}, text})
}

// listen collects the errors of a lexer and its parser, which would else be printed.
func listen(recognizers ...antlr.Recognizer) *errorListener {
	listener := &errorListener{DefaultErrorListener: antlr.NewDefaultErrorListener()}
	for _, recognizer := range recognizers {
		recognizer.RemoveErrorListeners()
		recognizer.AddErrorListener(listener)
	}
	return listener
}

func parseTSQL(statement string) ([]*scope, []problem) {
	lexer := tsql.NewTSqlLexer(antlr.NewInputStream(statement))
	parser := tsql.NewTSqlParser(antlr.NewCommonTokenStream(lexer, antlr.TokenDefaultChannel))
	errors := listen(lexer, parser)
	tree := parser.Tsql_file()
	if len(errors.problems) > 0 {
		return nil, errors.problems
	}
	walker := &tsqlWalker{}
	antlr.ParseTreeWalkerDefault.Walk(walker, tree)
	return walker.all, walker.problems
}

func parsePLSQL(statement string) ([]*scope, []problem) {
	lexer := plsql.NewPlSqlLexer(antlr.NewInputStream(statement))
	parser := plsql.NewPlSqlParser(antlr.NewCommonTokenStream(lexer, antlr.TokenDefaultChannel))
	errors := listen(lexer, parser)
	tree := parser.Sql_script()
	if len(errors.problems) > 0 {
		return nil, errors.problems
	}
	walker := &plsqlWalker{}
	antlr.ParseTreeWalkerDefault.Walk(walker, tree)
	return walker.all, walker.problems
}
