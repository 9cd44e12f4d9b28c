package mutants

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mutant is a statement with one thing about it changed.
type mutant struct{ name, statement string }

// mutantsOf changes one thing after the other about a SELECT: what is joined and how, each condition, comparison and
// literal, each column and each arm of a CASE. Each mutant is a sound statement, so only its results can betray it.
func mutantsOf(statement string) []mutant {
	m := &mutator{source: statement, tokens: sqlTokens(statement)}
	if !slices.ContainsFunc(m.tokens, func(t sqlToken) bool { return t.word == "SELECT" }) {
		return nil
	}
	for i, token := range m.tokens {
		switch token.word {
		case "SELECT":
			m.query(i)
		case "CASE":
			m.cases(i)
		case "IN":
			m.list(i)
		}
		m.flip(i)
		m.literal(i)
	}
	return m.mutants
}

type mutator struct {
	source  string
	tokens  []sqlToken
	mutants []mutant
}

// sqlToken is a word, literal or sign of a statement; comments are none.
type sqlToken struct {
	word       string // in capitals unless it is quoted
	start, end int    // in the statement
	depth      int    // how many parentheses and CASEs it is within, its own not counted
}

var sqlTokenPattern = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?\*/|N?'(?:[^']|'')*'|"[^"]*"|\[[^\]]*\]|` +
	`[@:]?[\pL_][\pL\d_$#]*|\d+|<>|!=|<=|>=|\|\||\S`)

func sqlTokens(statement string) []sqlToken {
	var all []sqlToken
	depth := 0
	for _, at := range sqlTokenPattern.FindAllStringIndex(statement, -1) {
		word := statement[at[0]:at[1]]
		if strings.HasPrefix(word, "--") || strings.HasPrefix(word, "/*") {
			continue
		}
		if !strings.ContainsAny(word, `'"[`) {
			word = strings.ToUpper(word)
		}
		if word == ")" || word == "END" {
			depth--
		}
		all = append(all, sqlToken{word, at[0], at[1], depth})
		if word == "(" || word == "CASE" {
			depth++
		}
	}
	return all
}

// span is tokens from a up to, but not including, b.
type span struct{ a, b int }

func (s span) empty() bool { return s.a >= s.b }

func (m *mutator) text(s span) string {
	if s.empty() {
		return ""
	}
	return m.source[m.tokens[s.a].start:m.tokens[s.b-1].end]
}

// replace makes the mutant that has other text in place of the tokens.
func (m *mutator) replace(s span, text, format string, args ...any) {
	start, end := m.tokens[s.a].start, m.tokens[s.b-1].end
	if text == "" && end < len(m.source) && m.source[end] == ' ' {
		end++
	}
	changed := m.source[:start] + text + m.source[end:]
	same := func(other mutant) bool { return other.statement == changed }
	if changed == m.source || slices.ContainsFunc(m.mutants, same) {
		return
	}
	name := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	m.mutants = append(m.mutants, mutant{m.unique(name), changed})
}

func (m *mutator) unique(name string) string {
	taken := func(other mutant) bool { return other.name == name }
	for n, base := 2, name; slices.ContainsFunc(m.mutants, taken); n++ {
		name = fmt.Sprintf("%s #%d", base, n)
	}
	return name
}

// find is the first of the words in the span that is as deep as its first token's surroundings; s.b if there is none.
func (m *mutator) find(s span, depth int, words ...string) int {
	for i := s.a; i < s.b; i++ {
		if m.tokens[i].depth == depth && slices.Contains(words, m.tokens[i].word) {
			return i
		}
	}
	return s.b
}

// split cuts the span at each of the words of this depth.
func (m *mutator) split(s span, depth int, word string) []span {
	var parts []span
	for {
		cut := m.find(s, depth, word)
		parts = append(parts, span{s.a, cut})
		if cut == s.b {
			return parts
		}
		s.a = cut + 1
	}
}

// closing is the token that ends what the one at i began.
func (m *mutator) closing(i int) int {
	for j := i + 1; j < len(m.tokens); j++ {
		if m.tokens[j].depth == m.tokens[i].depth {
			return j
		}
	}
	return len(m.tokens)
}

func (m *mutator) query(i int) {
	depth := m.tokens[i].depth
	end := i + 1
	for end < len(m.tokens) && m.tokens[end].depth >= depth {
		end++
	}
	whole := span{i + 1, end}
	if m.tokens[i+1].word == "DISTINCT" {
		m.replace(span{i + 1, i + 2}, "", "without DISTINCT")
		whole.a++
	}
	from := m.find(whole, depth, "FROM", "WHERE", "GROUP", "HAVING", "ORDER")
	m.terms(span{whole.a, from}, depth)
	where := m.find(span{from, end}, depth, "WHERE", "GROUP", "HAVING", "ORDER")
	m.joins(span{from, where}, depth)
	rest := m.find(span{where, end}, depth, "GROUP", "HAVING", "ORDER")
	if where < rest {
		m.condition(span{where + 1, rest}, depth)
	}
	if order := m.find(span{rest, end}, depth, "ORDER"); order < end {
		m.replace(span{order, end}, "", "without %s", m.text(span{order, end}))
	}
}

// terms are the columns of a SELECT: each is NULL once.
func (m *mutator) terms(s span, depth int) {
	for _, term := range m.split(s, depth, ",") {
		value := span{term.a, m.find(term, depth, "AS")}
		m.replace(value, "NULL", "NULL for %s", m.text(value))
	}
}

var joinWords = []string{"LEFT", "INNER", "CROSS", "JOIN", ","}

func (m *mutator) joins(s span, depth int) {
	for i := m.find(s, depth, "JOIN"); i < s.b; i = m.find(span{i + 1, s.b}, depth, "JOIN") {
		next := m.find(span{i + 1, s.b}, depth, joinWords...)
		on := m.find(span{i + 1, next}, depth, "ON")
		if on == next {
			continue
		}
		joined, condition := m.text(span{i + 1, on}), span{on + 1, next}
		m.condition(condition, depth)
		switch m.tokens[i-1].word {
		case "LEFT":
			m.replace(span{i - 1, i + 1}, "JOIN", "JOIN for LEFT JOIN %s", joined)
			m.replace(condition, "1 = 0", "nothing joined from %s", joined)
		case "INNER":
			m.replace(span{i - 1, i + 1}, "LEFT JOIN", "LEFT JOIN for JOIN %s", joined)
		default:
			m.replace(span{i, i + 1}, "LEFT JOIN", "LEFT JOIN for JOIN %s", joined)
		}
	}
}

// condition makes each alternative false and each part of an alternative true.
func (m *mutator) condition(s span, depth int) {
	alternatives := m.split(s, depth, "OR")
	for _, alternative := range alternatives {
		if len(alternatives) > 1 {
			m.replace(alternative, "1 = 0", "1 = 0 for %s", m.text(alternative))
		}
		for _, part := range m.conjuncts(alternative, depth) {
			m.replace(part, "1 = 1", "1 = 1 for %s", m.text(part))
			m.nested(part, depth)
		}
	}
}

// conjuncts cuts at each AND but that of BETWEEN.
func (m *mutator) conjuncts(s span, depth int) []span {
	var parts []span
	open := false
	for _, part := range m.split(s, depth, "AND") {
		if open {
			parts[len(parts)-1].b = part.b
			open = false
			continue
		}
		parts = append(parts, part)
		open = m.find(part, depth, "BETWEEN") < part.b
	}
	return parts
}

// nested goes into a condition that is all within parentheses.
func (m *mutator) nested(s span, depth int) {
	if m.tokens[s.a].word == "NOT" {
		s.a++
	}
	if m.tokens[s.a].word != "(" || m.closing(s.a) != s.b-1 || m.tokens[s.a+1].word == "SELECT" {
		return
	}
	m.condition(span{s.a + 1, s.b - 1}, depth+1)
}

// cases leaves out each arm of a CASE.
func (m *mutator) cases(i int) {
	end, depth := m.closing(i), m.tokens[i].depth+1
	inner := span{i + 1, end}
	otherwise := m.find(inner, depth, "ELSE")
	if otherwise < end {
		m.replace(span{otherwise, end}, "", "without %s", m.text(span{otherwise, end}))
	}
	searched := m.tokens[i+1].word == "WHEN"
	first := m.find(inner, depth, "WHEN")
	only := m.find(span{first + 1, end}, depth, "WHEN") == end
	for when := first; when < end; when = m.find(span{when + 1, end}, depth, "WHEN") {
		then := m.find(span{when, end}, depth, "THEN")
		arm := span{when, m.find(span{then, end}, depth, "WHEN", "ELSE")}
		if searched {
			m.condition(span{when + 1, then}, depth)
		}
		if !only {
			m.replace(arm, "", "without %s", m.text(arm))
			continue
		}
		value := m.text(span{otherwise + 1, end})
		if value == "" {
			value = "NULL"
		}
		m.replace(span{i, end + 1}, value, "without %s", m.text(arm))
	}
}

// list leaves out each member of IN (…).
func (m *mutator) list(i int) {
	open := i + 1
	if m.tokens[open].word != "(" || m.tokens[open+1].word == "SELECT" {
		return
	}
	members := m.split(span{open + 1, m.closing(open)}, m.tokens[open].depth+1, ",")
	for n, member := range members {
		if len(members) == 1 {
			return
		}
		without := span{member.a, member.b + 1}
		if n == len(members)-1 {
			without = span{member.a - 1, member.b}
		}
		m.replace(without, "", "without %s in %s", m.text(member), m.text(span{i - 1, m.closing(open) + 1}))
	}
}

var flipped = map[string][]string{
	"=": {"<>"}, "<>": {"="}, "!=": {"="}, "<": {">=", "<="}, "<=": {">", "<"}, ">": {"<=", ">="}, ">=": {"<", ">"},
}

// flip turns a comparison into its opposite, and moves its border by one.
func (m *mutator) flip(i int) {
	here := span{i, i + 1}
	around := func() string { return m.text(span{max(i-3, 0), min(i+4, len(m.tokens))}) }
	for _, other := range flipped[m.tokens[i].word] {
		m.replace(here, other, "%s for %s in %s", other, m.tokens[i].word, around())
	}
	switch word := m.tokens[i].word; word {
	case "NOT":
		m.replace(here, "", "without NOT in %s", around())
	case "IN", "LIKE", "BETWEEN", "EXISTS":
		if i > 0 && m.tokens[i-1].word != "NOT" {
			m.replace(here, "NOT "+word, "NOT %s in %s", word, around())
		}
	case "NULL":
		if i > 0 && m.tokens[i-1].word == "IS" {
			m.replace(here, "NOT NULL", "NOT NULL in %s", around())
		}
	}
}

// literal changes one, but not the length of a type in CAST.
func (m *mutator) literal(i int) {
	token, here := m.tokens[i], span{i, i + 1}
	if m.isType(i) {
		return
	}
	if number, err := strconv.Atoi(token.word); err == nil {
		m.replace(here, strconv.Itoa(number+1), "%d for %s", number+1, m.text(span{max(i-4, 0), i + 1}))
	}
	if before, ok := strings.CutSuffix(token.word, "'"); ok {
		m.replace(here, before+"~'", "other than %s", m.text(span{max(i-4, 0), i + 1}))
	}
}

// isType tells the length of a type, CAST(… AS varchar(10)), from a value.
func (m *mutator) isType(i int) bool {
	for j := i - 1; j > 1; j-- {
		if m.tokens[j].depth < m.tokens[i].depth {
			return m.tokens[j].word == "(" && m.tokens[j-2].word == "AS"
		}
	}
	return false
}
