-- Adds to an integer. KEYS[1]: where; KEYS[2]: the namespace's record, if it is on this server. ARGV[1]: how much; ARGV[2]: what its nonce is followed by;
-- ARGV[3]: the head of the entry that was seen and is valid, or nothing.
-- Returns 0 for nothing there, 1 and the sum, 2 for what can't be counted on, 3 for: look first.
local key, head = KEYS[1], ARGV[3]
local length = redis.pcall('STRLEN', key)
if length == 0 then return { 0, '' } end
if type(length) ~= 'number' then return { 3, '' } end
local function integer(text)
  return text == '0' or string.find(text, '^-?[1-9]%d*$') ~= nil
end
if length <= 20 and integer(redis.call('GET', key)) then
  local record = KEYS[2] and redis.pcall('GET', KEYS[2])
  if KEYS[2] and (type(record) ~= 'string' or #record ~= 32 + #ARGV[2] or string.sub(record, 33) ~= ARGV[2]) then return { 0, '' } end
  if type(redis.pcall('INCRBY', key, ARGV[1])) ~= 'number' then return { 2, '' } end
  -- Not the reply of INCRBY: a number of Lua has no more than 53 bits.
  return { 1, redis.call('GET', key) }
end
if head == '' or redis.call('GETRANGE', key, 0, #head - 1) ~= head then return { 3, '' } end
if length - #head > 20 then return { 2, '' } end
local body = redis.call('GETRANGE', key, #head, -1)
if not integer(body) then return { 2, '' } end
redis.call('SET', key, body, 'KEEPTTL')
local counted = type(redis.pcall('INCRBY', key, ARGV[1])) == 'number'
local sum = redis.call('GET', key)
redis.call('SET', key, head .. sum, 'KEEPTTL')
if not counted then return { 2, '' } end
return { 1, sum }
