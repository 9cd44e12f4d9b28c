package postgresql

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// Encodings of databases whose names need no decoder.
const (
	encodingUTF8 = "UTF8"
	encodingNone = "SQL_ASCII"
)

// encodings has the encodings of databases whose names we decode ourselves. The server's own conversion fails a whole
// statement for one name that it cannot convert; it is left to convert from the few encodings that are missing here.
var encodings = map[string]encoding.Encoding{
	"EUC_CN": simplifiedchinese.GBK, "EUC_JP": japanese.EUCJP, "EUC_KR": korean.EUCKR,
	"KOI8R": charmap.KOI8R, "KOI8U": charmap.KOI8U, "WIN866": charmap.CodePage866, "WIN874": charmap.Windows874,
	"WIN1250": charmap.Windows1250, "WIN1251": charmap.Windows1251, "WIN1252": charmap.Windows1252,
	"WIN1253": charmap.Windows1253, "WIN1254": charmap.Windows1254, "WIN1255": charmap.Windows1255,
	"WIN1256": charmap.Windows1256, "WIN1257": charmap.Windows1257, "WIN1258": charmap.Windows1258,
	"LATIN1": charmap.ISO8859_1, "LATIN2": charmap.ISO8859_2, "LATIN3": charmap.ISO8859_3, "LATIN4": charmap.ISO8859_4,
	"LATIN5": charmap.ISO8859_9, "LATIN6": charmap.ISO8859_10, "LATIN7": charmap.ISO8859_13, "LATIN8": charmap.ISO8859_14,
	"LATIN9": charmap.ISO8859_15, "LATIN10": charmap.ISO8859_16, "ISO_8859_5": charmap.ISO8859_5,
	"ISO_8859_6": charmap.ISO8859_6, "ISO_8859_7": charmap.ISO8859_7, "ISO_8859_8": charmap.ISO8859_8,
}

// longestCharacter is the number of bytes of the longest character in encodings.
const longestCharacter = 3

// decoded returns the name that a database of the encoding stores, in UTF-8. Bytes that are no character stay as they
// are, and so does every name in an encoding that we do not decode.
func decoded(encoding, name string) string {
	known, ok := encodings[encoding]
	if !ok || isASCII(name) {
		return name
	}
	if whole, ok := decodeWhole(known, name); ok {
		return whole
	}

	var out strings.Builder
	for len(name) > 0 {
		text, size := firstCharacter(known, name)
		out.WriteString(text)
		name = name[size:]
	}
	return out.String()
}

// decodeWhole decodes text that encodes to the same bytes again. Of several codes of a character it takes one only, so
// that different names stay different.
func decodeWhole(known encoding.Encoding, stored string) (text string, ok bool) {
	text, err := known.NewDecoder().String(stored)
	if err != nil || strings.ContainsRune(text, utf8.RuneError) {
		return "", false
	}
	again, err := known.NewEncoder().String(text)
	return text, err == nil && again == stored
}

// firstCharacter returns the first character of a name and how many bytes it takes there, or one byte that begins none.
func firstCharacter(known encoding.Encoding, name string) (text string, size int) {
	for size := 1; size <= min(longestCharacter, len(name)); size++ {
		if text, ok := decodeWhole(known, name[:size]); ok && utf8.RuneCountInString(text) == 1 {
			return text, size
		}
	}
	return name[:1], 1
}

func isASCII(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
