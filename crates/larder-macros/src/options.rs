//! What stands in the parentheses of an attribute.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitBool, LitStr, Path, Result, Token, parenthesized};

/// All there are; an attribute says which it takes.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) timeout: Option<Expr>,
    pub(crate) key: Option<Expr>,
    pub(crate) skip: Vec<Ident>,
    pub(crate) tags: Vec<Expr>,
    pub(crate) version: Option<Expr>,
    pub(crate) cache: Option<Expr>,
    pub(crate) using: Option<LitStr>,
    pub(crate) some_only: Option<Span>,
    pub(crate) associated: bool,
    pub(crate) no_helpers: bool,
    pub(crate) apart: bool,
    pub(crate) krate: Option<Path>,
}

enum Said {
    Value(Expr),
    Path(Path),
    List(Vec<Ident>),
    Alone,
}

struct One {
    name: Ident,
    said: Said,
}

impl Parse for One {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name = Ident::parse_any(input)?;
        let said = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            if name == "crate" { Said::Path(input.parse()?) } else { Said::Value(input.parse()?) }
        } else if input.peek(syn::token::Paren) {
            let list;
            parenthesized!(list in input);
            let names = Punctuated::<Ident, Token![,]>::parse_terminated_with(&list, Ident::parse_any)?;
            Said::List(names.into_iter().collect())
        } else {
            Said::Alone
        };
        Ok(Self { name, said })
    }
}

impl Options {
    /// The options of an attribute that takes those of `allowed`.
    pub(crate) fn parse(tokens: TokenStream, allowed: &[&str]) -> Result<Self> {
        let all = syn::parse::Parser::parse2(Punctuated::<One, Token![,]>::parse_terminated, tokens)?;
        let mut options = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for One { name, said } in all {
            let text = name.to_string();
            if !allowed.contains(&text.as_str()) {
                let known = allowed.join(", ");
                return Err(Error::new(
                    name.span(),
                    format!("there is no option `{text}`; there are {known}"),
                ));
            }
            if seen.contains(&text) {
                return Err(Error::new(name.span(), format!("`{text}` is said twice")));
            }
            options.take(&name, &text, said)?;
            seen.push(text);
        }
        if let (Some(cache), Some(_)) = (&options.cache, &options.using) {
            return Err(Error::new(cache.span(), "`cache` and `using` both name a cache; give one of them"));
        }
        if let (Some(_), Some(skipped)) = (&options.key, options.skip.first()) {
            return Err(Error::new(skipped.span(), "`skip` is for the default key, and a `key` is given"));
        }
        Ok(options)
    }

    fn take(&mut self, name: &Ident, text: &str, said: Said) -> Result<()> {
        match (text, said) {
            ("timeout", Said::Value(value)) => self.timeout = Some(value),
            ("key", Said::Value(value)) => self.key = Some(value),
            ("skip", Said::List(names)) => self.skip = names,
            ("tags", Said::Value(Expr::Array(tags))) => self.tags = tags.elems.into_iter().collect(),
            ("tags", _) => {
                return Err(Error::new(name.span(), "tags are a list: tags = [\"user:{id}\", \"users\"]"));
            }
            ("version", Said::Value(value)) => self.version = Some(value),
            ("cache", Said::Value(value)) => self.cache = Some(value),
            ("using", Said::Value(Expr::Lit(ExprLit { lit: Lit::Str(alias), .. }))) => {
                self.using = Some(alias);
            }
            ("using", _) => return Err(Error::new(name.span(), "an alias is a text: using = \"other\"")),
            ("some_only", Said::Alone) => self.some_only = Some(name.span()),
            ("associated", Said::Alone) => self.associated = true,
            ("helpers", Said::Value(Expr::Lit(ExprLit { lit: Lit::Bool(LitBool { value, .. }), .. }))) => {
                self.no_helpers = !value;
            }
            ("attach", Said::Value(Expr::Lit(ExprLit { lit: Lit::Bool(LitBool { value, .. }), .. }))) => {
                self.apart = !value;
            }
            ("crate", Said::Path(path)) => self.krate = Some(path),
            (_, Said::Alone) => {
                return Err(Error::new(name.span(), format!("`{text}` needs a value: {text} = …")));
            }
            ("skip", _) => return Err(Error::new(name.span(), "write skip(argument, another)")),
            _ => return Err(Error::new(name.span(), format!("this is no value for `{text}`"))),
        }
        Ok(())
    }

    /// Where `larder` is.
    pub(crate) fn krate(&self) -> TokenStream {
        match &self.krate {
            Some(path) => quote!(#path),
            None => quote!(::larder),
        }
    }
}

/// A text in which arguments may stand in braces, or any other expression that can be displayed.
pub(crate) fn text(expression: &Expr) -> TokenStream {
    match expression {
        Expr::Lit(ExprLit { lit: Lit::Str(format), .. }) => {
            quote_spanned!(format.span()=> ::std::format!(#format))
        }
        other => quote_spanned!(other.span()=> ::std::string::ToString::to_string(&(#other))),
    }
}
