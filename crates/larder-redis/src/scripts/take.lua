-- Removes an entry. KEYS[1]: which; then records. Returns the entry's beginning, at least its first line, and the records.
local size, start = 512, nil
repeat
  start = redis.pcall('GETRANGE', KEYS[1], 0, size - 1)
  if type(start) ~= 'string' then start = '' end
  size = size * 8
until #start < size / 8 or size > 4194304 or string.find(start, '\n', 1, true)
redis.call('UNLINK', KEYS[1])
local out = { start }
for i = 2, #KEYS do
  local there = redis.pcall('GET', KEYS[i])
  out[i] = type(there) == 'string' and there or ''
end
return out
