//! Literal samples of exchanges.md 1 to 3, recorded or documented, and texts that once were read wrongly.
use tickerml_core::wire::Channel;

pub const SPOT_DIFF: &str = r#"{"stream":"nknusdt@depth@100ms","data":{"e":"depthUpdate","E":1633998512568,"s":"NKNUSDT","U":499869753,"u":499869754,"b":[["0.35170000","4265.00000000"]],"a":[["0.35290000","10968.00000000"]]}}"#;
pub const USDM_DIFF_2026: &str = r#"{"e":"depthUpdate","E":123456789,"T":123456788,"s":"BTCUSDT","ps":"BTCUSDT","st":1,"U":157,"u":160,"pu":149,"b":[["0.0024","10"]],"a":[["0.0026","100"]]}"#;
pub const SPOT_TRADE: &str = r#"{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true,"M":true}"#;
pub const US_TRADE: &str = r#"{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","b":88,"a":50,"T":1672515782136,"m":true,"M":true}"#;
pub const USDM_TRADE: &str =
    r#"{"e":"trade","E":123456789,"s":"BTCUSDT","t":5933014,"p":"0.001","q":"100","T":123456785,"m":true}"#;
pub const SPOT_AGG_TRADE: &str = r#"{"stream":"nknusdt@aggTrade","data":{"e":"aggTrade","E":1633998523963,"s":"NKNUSDT","a":15683430,"p":"0.35280000","q":"58.00000000","f":19862790,"l":19862790,"T":1633998523963,"m":false,"M":true}}"#;
pub const SPOT_TOUCH: &str = r#"{"stream":"nknusdt@bookTicker","data":{"u":499869768,"s":"NKNUSDT","b":"0.35210000","B":"672.00000000","a":"0.35260000","A":"3199.00000000"}}"#;
pub const USDM_TOUCH: &str = r#"{"stream":"sushiusdt@bookTicker","data":{"e":"bookTicker","u":600859600576,"s":"SUSHIUSDT","b":"7.6110","B":"2","a":"7.6120","A":"297","T":1626992741012,"E":1626992741017}}"#;
pub const MARK: &str = r#"{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","ap":"11794.15","i":"11784.62659091","P":"11784.25641265","r":"0.00038167","T":1562306400000,"st":1}"#;

/// Every shape of frame.
pub const FRAMES: &[&str] = &[
    SPOT_DIFF,
    USDM_DIFF_2026,
    SPOT_TRADE,
    US_TRADE,
    USDM_TRADE,
    SPOT_AGG_TRADE,
    SPOT_TOUCH,
    USDM_TOUCH,
    MARK,
    r#"{"stream":"compusdt@depth@100ms","data":{"e":"depthUpdate","E":1633998274793,"s":"COMPUSDT","U":113129219,"u":113129219,"b":[],"a":[["297.32000000","19.08719000"]]}}"#,
    r#"{"stream":"sushiusdt@depth@100ms","data":{"e":"depthUpdate","E":1626992741037,"T":1626992741024,"s":"SUSHIUSDT","U":600859599090,"u":600859600917,"pu":600859598061,"b":[["7.5040","813"],["7.6090","0"],["7.6110","2"]],"a":[["7.6150","1563"],["7.6220","3284"]]}}"#,
    r#"{"stream":"ctkusdt@aggTrade","data":{"e":"aggTrade","E":1626992741575,"a":16599292,"s":"CTKUSDT","p":"1.01100","q":"10","nq":"9","f":23961322,"l":23961322,"T":1626992741421,"m":false}}"#,
    r#"{"e":"referencePrice","s":"BAZUSD","r":"1.00","t":1770313263917}"#,
    FORCE_ORDER,
    SHUTDOWN,
    SHUTDOWN_COMBINED,
    r#"{"result":null,"id":1}"#,
    r#"{"result":["btcusdt@aggTrade"],"id":3}"#,
    r#"{"code":2,"msg":"Invalid request: request ID must be an unsigned integer","id":1}"#,
    r#"{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}"#,
];

const FORCE_ORDER: &str = r#"{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910.00000000","ap":"9910.12345678","X":"FILLED","l":"0.014","z":"0.014","T":1568014460893}}"#;
const SHUTDOWN: &str = r#"{"e":"serverShutdown","E":1770123456789}"#;
const SHUTDOWN_COMBINED: &str = r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#;

/// Messages that reach no book.
pub const OTHERS: [(&str, Channel); 11] = [
    (FORCE_ORDER, Channel::Unknown),
    (SHUTDOWN, Channel::Shutdown),
    (SHUTDOWN_COMBINED, Channel::Shutdown),
    (r#"{"result":null,"id":1}"#, Channel::Ack),
    (r#"{"id":3,"result":["btcusdt@aggTrade"]}"#, Channel::Ack),
    (r#"{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}"#, Channel::Error),
    (r#"{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}"#, Channel::Unknown),
    // Fields of our messages with other meanings: `l` is a low price, `m` a text, `U` a list.
    (
        r#"{"e":"24hrMiniTicker","E":1672515782136,"s":"BNBBTC","c":"0.0025","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18"}"#,
        Channel::Unknown,
    ),
    (r#"{"e":"new","m":"text","U":[1],"u":"2","s":7}"#, Channel::Unknown),
    (r#"{"stream":"!forceOrder@arr","data":[1,2]}"#, Channel::Unknown),
    ("{}", Channel::Unknown),
];

/// Depth snapshots of spot and futures.
pub const SNAPSHOTS: &[&str] = &[
    r#"{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}"#,
    r#"{"lastUpdateId":600859605926,"E":1626992741264,"T":1626992741261,"bids":[["7.6110","6"],["7.6080","161"]],"asks":[]}"#,
];

/// An exchangeInfo in the shape of exchanges.md 1.7, with the notional filter's two forms.
pub const EXCHANGE_INFO: &str = r#"{"timezone":"UTC","symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01000000","maxPrice":"1000000.00000000","tickSize":"0.01000000"},{"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"},{"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true,"maxNotional":"9000000.00000000","applyMaxToMarket":false,"avgPriceMins":5}]},{"symbol":"BTCUSD_PERP","contractSize":100,"baseAsset":"BTC","quoteAsset":"USD","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.1"},{"filterType":"LOT_SIZE","stepSize":"1"},{"filterType":"MIN_NOTIONAL","notional":"5"}]}]}"#;

/// Frames that once read differently from serde_json.
pub const FOUND: &[&str] = &[
    // A rate that is no text ended the process (an index beyond the address space).
    r#"{"e":"markPriceUpdate","p":"1","r":null,"T":1}"#,
    // A second payload was added to the first.
    r#"{"data":{"e":"depthUpdate","U":1,"u":1,"b":[["1","1"]],"a":[]},"data":{"e":"depthUpdate","U":2,"u":2,"b":[["2","2"]],"a":[]}}"#,
    r#"{"data":{"e":"depthUpdate","U":1,"u":1,"b":[["1","1"]],"a":[]},"data":7}"#,
    // A wrapper's own type hid its payload, or was read in its place.
    r#"{"data":{"e":"depthUpdate","U":1,"u":1,"b":[["1","1"]],"a":[]},"e":"trade"}"#,
    r#"{"e":"x","data":{"e":"depthUpdate","U":1,"u":1,"b":[["1","1"]],"a":[]}}"#,
    // The last of two is a text, not levels.
    r#"{"e":"depthUpdate","U":1,"u":1,"b":[["1","1"]],"a":[],"b":"1"}"#,
    r#"{"u":1,"s":"X","b":"1","B":"1","a":"1","A":"1","b":5}"#,
    // Zero with a sign is a float to serde_json.
    r#"{"e":"depthUpdate","U":-0,"u":1,"b":[],"a":[]}"#,
    // Escapes that are none, half a surrogate pair, a number beyond a float, in fields that nobody reads.
    r#"{"result":"\x","id":1}"#,
    r#"{"result":"\ud800","id":1}"#,
    r#"{"result":1e999,"id":1}"#,
    // Escapes in decimals, names and keys.
    r#"{"e":"depthUpdate","U":1,"u":1,"b":[["\u0031","1"]],"a":[]}"#,
    r#"{"\u0065":"depth\u0055pdate","U":1,"u":1,"b":[],"a":[]}"#,
    // A field of another message, of another JSON type.
    r#"{"e":"depthUpdate","U":1,"u":1,"b":[],"a":[],"t":"x","m":null,"q":{},"l":1.5}"#,
    r#"{"e":"24hrTicker","E":1,"s":"X","l":"0.5","a":"1","b":"2"}"#,
    r#"{"e":"trade","t":1,"p":"1","q":"1","m":true,"b":[],"a":[["x"]]}"#,
    // Ids behind the levels, out of the venue's order.
    r#"{"e":"depthUpdate","s":"X","b":[["1","1"]],"a":[],"U":1,"u":2,"pu":0}"#,
    r#"{"e":"depthUpdate","s":"X","U":1,"u":2,"b":[["1","1"]],"a":[],"pu":0}"#,
    r#"{"t":9,"e":"trade","p":"1","s":"X","q":"1","m":true}"#,
    r#"{"b":"1","B":"1","a":"1","A":"1","u":1,"s":"X"}"#,
    r#"{"e":"trade","s":"X","t":9,"p":"1","q":"1","m":true,"code":5,"result":1}"#,
    r#"{"result":1,"code":5}"#,
    r#"{"code":5,"result":1}"#,
    r#"{"data":{"e":"trade","t":9,"p":"1","s":"X","q":"1","m":true},"stream":"x@trade"}"#,
];

/// The same of snapshots.
pub const FOUND_SNAPSHOTS: &[&str] = &[
    r#"{"lastUpdateId":1,"bids":[["1","1"]],"asks":[],"bids":[["2","2"]]}"#,
    r#"{"lastUpdate\u0049d":1,"bids":[["\u0031","1"]],"asks":[]}"#,
    r#"{"lastUpdateId":1,"bids":[],"asks":[],"x":"\ud800"}"#,
];

/// The same where the text is not UTF-8.
pub const FOUND_BYTES: &[&[u8]] = &[
    b"{\"result\":\"\xff\",\"id\":1}",
    b"{\"e\":\"\xff\"}",
    b"{\"e\":\"trade\",\"\xc3\":1,\"t\":1,\"p\":\"1\",\"q\":\"1\",\"m\":true}",
    b"{\"lastUpdateId\":1,\"bids\":[],\"asks\":[],\"x\":\"\xff\"}",
    b"{\"symbols\":[],\"x\":\"\xff\"}",
];
