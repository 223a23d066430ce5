//! Certificates for a connection to a broker.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::Error;
use crate::config::Secrets;

/// Trusts the system's certificates, or those of a file, and shows one where it is configured.
pub fn client(secrets: Secrets<'_>) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    match secrets.ca_file {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| format!("{}: {error}", file.display()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err("there are no certificates to trust; ca-file names some".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(roots);
    let (Some(certificate), Some(key)) = (secrets.certificate_file, secrets.key_file) else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    let client = builder.with_client_auth_cert(certificates(certificate)?, private);
    Ok(Arc::new(client.map_err(|error| format!("{}: {error}", certificate.display()))?))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let explain = |error| format!("{}: {error}; it has to hold certificates as PEM", file.display());
    let certificates = CertificateDer::pem_file_iter(file).map_err(explain)?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(explain)?;
    if certificates.is_empty() {
        return Err(format!("{}: there is no certificate in it", file.display()).into());
    }
    Ok(certificates)
}
