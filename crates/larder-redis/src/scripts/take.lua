-- Removes an entry. KEYS[1]: which. Returns its beginning, at least its first line.
local size, start = 512, nil
repeat
  start = redis.pcall('GETRANGE', KEYS[1], 0, size - 1)
  if type(start) ~= 'string' then start = '' end
  size = size * 8
until #start < size / 8 or size > 4194304 or string.find(start, '\n', 1, true)
redis.call('UNLINK', KEYS[1])
return start
