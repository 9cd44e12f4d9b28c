-- Whether the connection with the id ?2 runs a statement that has the text ?1. No row: it is not open, or another user's.
-- Needs: nothing for connections of the same user.
-- Columns: has the text.
SELECT COALESCE(LOCATE(?, p.info), 0) > 0
FROM information_schema.processlist AS p
WHERE p.id = ?
  AND LEFT(USER(), CHAR_LENGTH(p.user) + 1) = CONCAT(p.user, '@')
