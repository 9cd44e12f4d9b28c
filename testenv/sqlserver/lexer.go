package sqlserver

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind int

const (
	wordToken   tokenKind = iota // an identifier or keyword as it stands
	quotedToken                  // [name] or "name"; text is the name
	stringToken                  // 'text'; text is without the quotes
	numberToken
	variableToken // @name; text is without the @
	signToken     // one character of anything else
)

// token is a token of T-SQL and its place in the text.
type token struct {
	kind       tokenKind
	text       string
	start, end int
}

func (t token) is(word string) bool { return t.kind == wordToken && strings.EqualFold(t.text, word) }

func (t token) sign(sign string) bool { return t.kind == signToken && t.text == sign }

// name reports whether the token can be a name.
func (t token) name() bool { return t.kind == wordToken || t.kind == quotedToken }

// lex splits a text into tokens, without comments and white space.
func lex(text string) ([]token, error) {
	var tokens []token
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		rest := text[at:]
		next := token{start: at}
		switch {
		case unicode.IsSpace(r):
			at += size
			continue
		case strings.HasPrefix(rest, "--"):
			at += lineEnd(rest)
			continue
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest, "*/")
			if end < 0 {
				return nil, Message(102, "/*")
			}
			at += end + len("*/")
			continue
		case r == '[', r == '"', r == '\'':
			inner, length, ok := quoted(rest)
			if !ok {
				return nil, Message(105, rest[1:])
			}
			next.kind, next.text, next.end = quotedToken, inner, at+length
			if r == '\'' {
				next.kind = stringToken
			}
		case r == '@', letter(r):
			next.end = at + size + span(rest[size:], wordPart)
			next.kind, next.text = wordToken, text[at:next.end]
			if r == '@' {
				next.kind, next.text = variableToken, next.text[1:]
			}
		case unicode.IsDigit(r):
			next.end = at + span(rest, func(r rune) bool { return wordPart(r) || r == '.' })
			next.kind, next.text = numberToken, text[at:next.end]
		default:
			next.kind, next.text, next.end = signToken, string(r), at+size
		}
		tokens = append(tokens, next)
		at = next.end
	}
	return tokens, nil
}

func letter(r rune) bool { return unicode.IsLetter(r) || r == '_' || r == '#' }

func wordPart(r rune) bool { return letter(r) || unicode.IsDigit(r) || r == '@' || r == '$' }

func lineEnd(text string) int {
	if end := strings.IndexByte(text, '\n'); end >= 0 {
		return end
	}
	return len(text)
}

// span returns how many bytes at the beginning of the text consist of matching characters.
func span(text string, part func(rune) bool) int {
	if end := strings.IndexFunc(text, func(r rune) bool { return !part(r) }); end >= 0 {
		return end
	}
	return len(text)
}

// quoted reads a name or text between quotes, in which a doubled closing quote stands for one.
func quoted(text string) (inner string, length int, ok bool) {
	closing := text[:1]
	if closing == "[" {
		closing = "]"
	}
	for at := 1; ; {
		end := strings.Index(text[at:], closing)
		if end < 0 {
			return "", 0, false
		}
		at += end + 1
		if !strings.HasPrefix(text[at:], closing) {
			return strings.ReplaceAll(text[1:at-1], closing+closing, closing), at, true
		}
		at++
	}
}

// statements splits a batch at semicolons, and before keywords that begin a statement.
func statements(tokens []token) [][]token {
	var out [][]token
	var current []token
	flush := func() {
		if len(current) > 0 {
			out = append(out, current)
		}
		current = nil
	}
	depth := 0
	for _, t := range tokens {
		switch {
		case t.sign("("):
			depth++
		case t.sign(")"):
			depth--
		case t.sign(";"):
			flush()
			continue
		case depth == 0 && len(current) > 1 && begins(t) && !continues(current, t):
			flush()
		}
		current = append(current, t)
	}
	flush()
	return out
}

func begins(t token) bool {
	return t.is("SELECT") || t.is("WITH") || t.is("SET") || t.is("USE") || t.is("EXEC") || t.is("EXECUTE")
}

// continues reports whether the keyword belongs to the statement before it: only a query contains SELECT.
func continues(current []token, t token) bool {
	query := current[0].is("SELECT") || current[0].is("WITH")
	return query && (t.is("SELECT") || t.is("WITH"))
}

// views returns the catalog views that are named, in lower case, such as "sys.objects".
func views(tokens []token) []string {
	var out []string
	for i := 0; i+2 < len(tokens); i++ {
		if tokens[i].name() && strings.EqualFold(tokens[i].text, "sys") && tokens[i+1].sign(".") && tokens[i+2].name() {
			out = append(out, "sys."+strings.ToLower(tokens[i+2].text))
		}
	}
	return out
}
