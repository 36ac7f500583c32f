//! `#[once_per_request]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Result;

use crate::function::Function;
use crate::options::Options;

const OPTIONS: &[&str] = &["key", "skip", "associated", "crate"];

pub(crate) fn expand(options: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let options = Options::parse(options, OPTIONS)?;
    let function = Function::parse(function, "once_per_request")?;
    let krate = options.krate();
    let key = function.key(&options, &krate)?;
    // Nothing but this function ever asks for it, so a short key of one's own can't meet another's.
    let (place, name) = function.place(&krate);
    let this = function.this(&options).unwrap_or_else(|| quote!(""));
    let key = quote!(#krate::memo::own_key(#place, #name, #this, #key));
    let body = function.body(&krate);
    let run = if function.is_fallible() { quote!(fallibly_once) } else { quote!(once) };
    let (attributes, visibility, signature) = (&function.item.attrs, &function.item.vis, &function.item.sig);
    Ok(quote! {
        #(#attributes)*
        #visibility #signature {
            let __larder_key = #key;
            #krate::memo::#run(__larder_key, #body).await
        }
    })
}
